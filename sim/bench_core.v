// Plays a file of clocks to a design and records what its pins and the outputs of its parts hold in each. Knows nothing of what is
// right: that is compared afterwards, all at once.
//
// Macros: TOP, the design's module; PORTS, its connections; X_BITS and Y_BITS; SEEN, what is recorded, and FORMAT, how.
//
// Plusargs: +clocks=FILE, a line a clock: a hexadecimal digit of late, rst, y_ready, x_valid, and x in words of 1,024 bits, the
// lowest first. +seen=FILE: what is written, a line a clock. +trace=FILE +from=N +until=N: a waveform from one clock to another.
//
// In each clock inputs change as the clock falls, everything settles and is recorded, and the clock rises. Of a clock that is late,
// inputs change while it is still high, or a single register on the wrong edge would not show.
module bench
`ifdef VERILATOR
(
    input wire tick
);
`else
();
    reg tick = 0;
    always #1 tick = ~tick;
`endif
    localparam WORDS = (`X_BITS + 1023) / 1024, SETS = 0, FALLS = 1, RISES = 2;

    reg clk = 0, rst = 0, x_valid = 0, y_ready = 0, late = 0;
    reg [WORDS*1024-1:0] words = 0;
    wire [`X_BITS-1:0] x = words[`X_BITS-1:0];
    wire [`Y_BITS-1:0] y;
    wire x_ready, y_valid;

    `TOP dut (`PORTS);

    reg [8*1024-1:0] name;
    reg [1023:0] word;
    reg [3:0] pins;
    integer clocks, seen, read, i, from = -1, until_ = -1, clock = 0, next = SETS;

    initial begin
        read = $value$plusargs("clocks=%s", name);
        clocks = $fopen(name, "r");
        read = $value$plusargs("seen=%s", name);
        seen = $fopen(name, "w");
`ifndef VERILATOR
        if ($value$plusargs("trace=%s", name)) begin
            read = $value$plusargs("from=%d", from);
            read = $value$plusargs("until=%d", until_);
            $dumpfile(name);
        end
`endif
    end

    always @(posedge tick)
        if (next == SETS) begin
            read = $fscanf(clocks, "%h", pins);
            if (read != 1) $finish;
            for (i = 0; i < WORDS; i = i + 1) begin
                read = $fscanf(clocks, "%h", word);
                words[i*1024 +: 1024] = word;
            end
            {late, rst, y_ready, x_valid} = pins;
            if (!late) clk = 0;
            next = late ? FALLS : RISES;
        end else if (next == FALLS) begin
            clk = 0;
            next = RISES;
        end else begin
            $fwrite(seen, `FORMAT, `SEEN);
            clk = 1;
            next = SETS;
            clock = clock + 1;
            if (clock % 64 == 0) begin
                $display("@ %0d", clock);
                $fflush;
            end
`ifndef VERILATOR
            if (clock == from) $dumpvars(0, dut);
            if (clock == until_) $finish;
`endif
        end
endmodule
