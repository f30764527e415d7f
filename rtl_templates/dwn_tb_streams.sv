`default_nettype none

module dwn_tb;
    `include "dwn_params.vh"

    reg clk = 0, rst = 1;
    always #5 clk = ~clk;

    reg [DWN_X_PORT_BITS-1:0] x = 0;
    reg x_valid = 0, x_last = 0, y_ready = 0;
    wire x_ready, y_valid, y_right; // y_right: what comes beside a result is as it must be
    wire [DWN_Y_PORT_BITS-1:0] y;

@DUT@

@VECTORS@

    // Half of the samples as fast as the design takes them, where the clocks are counted; the rest with pauses on both sides.
    integer clock = 0, given = 0, quiet = 0, half;
    integer begun_at = 0;
    integer taken_at [0:DWN_VECTORS-1];
    reg [31:0] random = 32'h2545F491;
    reg waiting = 0;
    reg [DWN_Y_PORT_BITS-1:0] shown = 0, wanted = 0;
    reg [DWN_X_PORT_BITS-1:0] next = 0;

    always @(posedge clk) if (loaded) begin
        clock = clock + 1;
        quiet = quiet + 1;
        half = (count + 1) / 2;
        random = random ^ (random << 13);
        random = random ^ (random >> 17);
        random = random ^ (random << 5);
        rst <= clock < 4;
        if (!rst) begin
            if (x_ready !== 1'b0 && x_ready !== 1'b1 || y_valid !== 1'b0 && y_valid !== 1'b1) begin
                $display("clock %0d: the input's ready is %b, the output's valid %b", clock, x_ready, y_valid);
                fault;
            end
            // What was taken in this clock.
            if (x_valid && x_ready === 1'b1) begin
                quiet = 0;
                if (given % DWN_TRANSFERS == 0) begin
                    if (given > 0 && given < half * DWN_TRANSFERS && clock - begun_at != DWN_INTERVAL) begin
                        $display("sample %0d began %0d clocks after the one before, not %0d",
                                 given / DWN_TRANSFERS, clock - begun_at, DWN_INTERVAL);
                        fault;
                    end
                    begun_at = clock;
                end
                if (given % DWN_TRANSFERS == DWN_TRANSFERS - 1) taken_at[given / DWN_TRANSFERS] = clock;
                given = given + 1;
            end
            // What came out.
            if (waiting && (y_valid !== 1'b1 || y !== shown)) begin
                $display("result %0d changed while it waited", compared);
                fault;
            end
            waiting = y_valid === 1'b1 && !y_ready;
            shown = y;
            if (y_valid === 1'b1 && y_ready) begin
                quiet = 0;
                if (compared == count || given < (compared + 1) * DWN_TRANSFERS) begin
                    $display("clock %0d: a result that belongs to no sample", clock);
                    fault;
                end else begin
                    wanted = 0;
                    wanted[DWN_Y_BITS-1:0] = y_vectors[compared][DWN_Y_BITS-1:0];
                    if (y !== wanted || y_right !== 1'b1) begin
                        $display("vector %0d gives %h, not %h%0s", compared, y, wanted,
                                 y_right === 1'b1 ? "" : ", and what comes beside it is wrong");
                        fault;
                    end
                    if (compared < half && clock - taken_at[compared] != DWN_LATENCY) begin
                        $display("vector %0d has its result after %0d clocks, not %0d", compared,
                                 clock - taken_at[compared], DWN_LATENCY);
                        fault;
                    end
                    compared = compared + 1;
                end
            end
            // What is offered next: what was not taken stays; without an offer there is nothing to read.
            if (!x_valid || x_ready === 1'b1) begin
                if (given < count * DWN_TRANSFERS && !(given >= half * DWN_TRANSFERS && random[2:0] < 3)) begin
                    next = 0;
                    next[DWN_X_BITS-1:0] = x_vectors[given][DWN_X_BITS-1:0];
                    x <= next;
                    x_last <= given % DWN_TRANSFERS == DWN_TRANSFERS - 1;
                    x_valid <= 1;
                end else begin
                    x <= {DWN_X_PORT_BITS{1'bx}};
                    x_valid <= 0;
                end
            end
            y_ready <= !(@STALLS@ && compared >= half && random[10:8] < 3);
            // Nothing may come after the last result, and something must come before.
            if (quiet > DWN_LATENCY + DWN_INTERVAL + 16) begin
                if (compared != count) $display("clock %0d: nothing came for %0d clocks", clock, quiet);
                ended;
            end
        end
    end
endmodule

`default_nettype wire
