// Feeds a folded engine with codes from a file, and records what it writes and when. Knows nothing of what is right.
//
// Macros: TOP, the engine's module; X_BITS, X_DIGITS (hexadecimal), Y_BITS; TRANSFERS of a sample.
//
// Plusargs: +codes=FILE, a code a line, in hexadecimal of a fixed number of digits; +samples=N; +writes=FILE, +events=FILE: what is
// written; +idle=N, +stall=N: of 256 clocks, so many in which no code is offered, no result is taken; +limit=N clocks; +seed=N; +resets=FILE: the
// clocks in which the reset is high, after the first two, in rising order. A sample that a reset interrupts is fed again.
// +trace=FILE +from=N +until=N: a waveform from one clock to another.
//
// writes: step, address, value, in hexadecimal, one a line. events, each with its clock: `b` a sample's first code was taken, `e` its
// last one, `v` a result is there, `y` it was taken (with how many writes there were until then, and the result), `r` a reset (with
// the writes until then), `c` a result changed while it waited, `t` the time is over.
module bench
`ifdef VERILATOR
(
    input wire tick
);
`else
();
    reg tick = 0;
    always #5 tick = ~tick;
`endif
    wire clk = tick;
    reg rst = 1;
    reg [`X_BITS-1:0] x_payload;
    reg x_valid = 0, y_ready = 0;
    wire x_ready, y_valid;
    wire [`Y_BITS-1:0] y_payload;

    `TOP dut (
        .clk(clk), .rst(rst), .x_payload(x_payload), .x_valid(x_valid), .x_ready(x_ready),
        .y_payload(y_payload), .y_valid(y_valid), .y_ready(y_ready)
    );

    reg [8*1024-1:0] name;
    integer codes, writes, events, resets, samples, idle, stall, limit, read;
    integer clock = 0, word = 0, given = 0, done = 0, count = 0, next_reset = -1, from = -1, until_ = -1;
    reg [31:0] random;
    reg waiting = 0;
    reg [`Y_BITS-1:0] shown;

    // xorshift: the same numbers in every simulator.
    function [31:0] after(input [31:0] state);
        reg [31:0] s;
        begin
            s = state;
            s = s ^ (s << 13);
            s = s ^ (s >> 17);
            after = s ^ (s << 5);
        end
    endfunction

    initial begin
        read = $value$plusargs("codes=%s", name);
        codes = $fopen(name, "r");
        read = $value$plusargs("writes=%s", name);
        writes = $fopen(name, "w");
        read = $value$plusargs("events=%s", name);
        events = $fopen(name, "w");
        read = $value$plusargs("resets=%s", name);
        resets = $fopen(name, "r");
        read = $value$plusargs("samples=%d", samples);
        read = $value$plusargs("idle=%d", idle);
        read = $value$plusargs("stall=%d", stall);
        read = $value$plusargs("limit=%d", limit);
        read = $value$plusargs("seed=%d", random);
        random = {random[30:0], 1'b1};
`ifndef VERILATOR
        if ($value$plusargs("trace=%s", name)) begin
            read = $value$plusargs("from=%d", from);
            read = $value$plusargs("until=%d", until_);
            $dumpfile(name);
        end
`endif
    end

    always @(posedge clk) begin
        clock = clock + 1;
        random = after(random);
`ifndef VERILATOR
        if (clock == from) $dumpvars(0, dut);
        if (clock == until_) $finish;
`endif
        if (dut.writer.write === 1'b1 && !rst) begin
            $fwrite(writes, "%h %h %h\n", dut.writer.step, dut.writer.at, dut.writer.value);
            count = count + 1;
        end
        if (rst) begin
            // What was fed of samples whose result was not taken is fed again.
            given = done * `TRANSFERS;
            read = $fseek(codes, given * (`X_DIGITS + 1), 0);
            word = 0;
            waiting = 0;
            x_valid <= 0;
            if (clock > 2) $fdisplay(events, "r %0d %0d", clock, count);
        end else begin
            if (x_valid && x_ready) begin
                if (word == 0) $fdisplay(events, "b %0d", clock);
                if (word == `TRANSFERS - 1) $fdisplay(events, "e %0d", clock);
                word = word == `TRANSFERS - 1 ? 0 : word + 1;
            end
            if (y_valid && !waiting) $fdisplay(events, "v %0d", clock);
            if (waiting && (!y_valid || y_payload !== shown)) $fdisplay(events, "c %0d", clock);
            waiting = y_valid && !y_ready;
            shown = y_payload;
            if (y_valid && y_ready) begin
                $fdisplay(events, "y %0d %0d %h", clock, count, y_payload);
                done = done + 1;
                if (done == samples) $finish;
            end
            // A code that was offered and not taken stays on offer.
            if (!x_valid || x_ready) begin
                x_valid <= 0;
                if (given < samples * `TRANSFERS && random[7:0] >= idle) begin
                    read = $fscanf(codes, "%h", x_payload);
                    given = given + 1;
                    x_valid <= 1;
                end
            end
        end
        y_ready <= random[15:8] >= stall;
        if (next_reset < clock) begin
            read = $fscanf(resets, "%d", next_reset);
            if (read != 1) next_reset = limit + 1;
        end
        rst <= clock < 2 || clock == next_reset;
        if (clock == limit) begin
            $fdisplay(events, "t %0d", clock);
            $finish;
        end
    end
endmodule
