`default_nettype none

module dwn_tb;
    `include "dwn_params.vh"

    localparam CLOCKS_PER_BIT = 4; // the fewest, so that the simulation is short
    localparam FLAG = 8'h7E, ESCAPE = 8'h7D, FLIP = 8'h20, RUN = 8'h01, REPLY = 8'h81;
    // A result's bytes, those of its clocks, and around them kind, number, length, CRC.
    localparam Y_BYTES = (DWN_Y_BITS + 7) / 8, RESULT = Y_BYTES + 3, CONTENT = RESULT + 6;
    localparam X_BYTES = (DWN_X_BITS + 7) / 8, SAMPLE = X_BYTES * DWN_TRANSFERS;

    reg clk = 0, rst = 1, rx = 1;
    always #5 clk = ~clk;
    wire tx;

@DUT@

@VECTORS@

    function [15:0] crc_after(input [15:0] crc, input [7:0] data);
        integer i;
        begin
            crc_after = crc ^ {8'h00, data};
            for (i = 0; i < 8; i = i + 1) crc_after = crc_after[0] ? (crc_after >> 1) ^ 16'h8408 : crc_after >> 1;
        end
    endfunction

    // Requests, of one sample each, as a host sends them; the next one when the reply is there. Changes at falling edges.
    reg [15:0] crc, check;
    integer sent = 0, turn, part, line, quiet;
    reg [8*X_BYTES-1:0] code;

    task send_raw(input [7:0] data);
        begin
            rx = 0;
            repeat (CLOCKS_PER_BIT) @(negedge clk);
            for (line = 0; line < 8; line = line + 1) begin
                rx = data[line];
                repeat (CLOCKS_PER_BIT) @(negedge clk);
            end
            rx = 1;
            repeat (CLOCKS_PER_BIT) @(negedge clk);
        end
    endtask

    task send(input [7:0] data);
        begin
            crc = crc_after(crc, data);
            if (data == FLAG || data == ESCAPE) begin
                send_raw(ESCAPE);
                send_raw(data ^ FLIP);
            end else send_raw(data);
        end
    endtask

    initial begin
        repeat (4) @(negedge clk);
        rst = 0;
        repeat (4) @(negedge clk);
        for (sent = 0; sent < count; sent = sent + 1) begin
            crc = 16'hFFFF;
            send_raw(FLAG);
            send(RUN);
            send(sent[7:0]);
            send(SAMPLE[7:0]);
            send(SAMPLE[15:8]);
            for (turn = 0; turn < DWN_TRANSFERS; turn = turn + 1) begin
                code = 0;
                code[DWN_X_BITS-1:0] = x_vectors[sent*DWN_TRANSFERS+turn][DWN_X_BITS-1:0];
                for (part = 0; part < X_BYTES; part = part + 1) send(code[8*part+:8]);
            end
            check = ~crc;
            send(check[7:0]);
            send(check[15:8]);
            send_raw(FLAG);
            quiet = 0;
            while (compared <= sent && quiet < DWN_LATENCY + 20 * CLOCKS_PER_BIT * (CONTENT + 8)) begin
                quiet = quiet + 1;
                @(negedge clk);
            end
            if (compared <= sent) begin
                $display("vector %0d has no reply", sent);
                ended;
            end
        end
        repeat (40 * CLOCKS_PER_BIT) @(negedge clk);
        ended;
    end

    // Replies, byte for byte.
    integer phase = -1, at = 0, place;
    reg [8:0] shift = 0;
    reg escaped = 0;
    reg [7:0] got [0:CONTENT-1];
    reg [7:0] right [0:CONTENT-1];
    reg [8*Y_BYTES-1:0] wanted;
    reg [15:0] wanted_crc;
    reg [23:0] clocks;
    reg same;

    task reply_ended;
        begin
            if (compared == count || compared > sent) begin
                $display("a reply that nothing was asked for");
                fault;
            end else begin
                wanted = 0;
                wanted[DWN_Y_BITS-1:0] = y_vectors[compared][DWN_Y_BITS-1:0];
                clocks = DWN_LATENCY;
                right[0] = REPLY;
                right[1] = compared[7:0];
                right[2] = RESULT[7:0];
                right[3] = RESULT[15:8];
                for (place = 0; place < Y_BYTES; place = place + 1) right[4+place] = wanted[8*place+:8];
                for (place = 0; place < 3; place = place + 1) right[4+Y_BYTES+place] = clocks[8*place+:8];
                wanted_crc = 16'hFFFF;
                for (place = 0; place < CONTENT - 2; place = place + 1) wanted_crc = crc_after(wanted_crc, right[place]);
                {right[CONTENT-1], right[CONTENT-2]} = ~wanted_crc;
                same = at == CONTENT;
                for (place = 0; place < CONTENT; place = place + 1) same = same && got[place] === right[place];
                if (!same) begin
                    $write("vector %0d has a reply of %0d bytes, not %0d; got and right:", compared, at, CONTENT);
                    for (place = 0; place < CONTENT; place = place + 1) $write(" %h/%h", got[place], right[place]);
                    $write("\n");
                    fault;
                end
                compared = compared + 1;
            end
        end
    endtask

    task received(input [7:0] data);
        begin
            if (data === FLAG) begin
                if (at > 0) reply_ended;
                at = 0;
                escaped = 0;
            end else if (data === ESCAPE) escaped = 1;
            else begin
                if (at < CONTENT) got[at] = escaped ? data ^ FLIP : data;
                at = at + 1;
                escaped = 0;
            end
        end
    endtask

    always @(posedge clk) if (!rst && loaded) begin
        if (tx !== 1'b0 && tx !== 1'b1) begin
            $display("the line is %b", tx);
            fault;
        end
        if (phase >= 0) begin
            phase = phase + 1;
            // In the middle of each bit; the last one is the stop bit.
            if (phase % CLOCKS_PER_BIT == CLOCKS_PER_BIT / 2) shift = {tx, shift[8:1]};
            if (phase == 9 * CLOCKS_PER_BIT + CLOCKS_PER_BIT / 2) begin
                if (!shift[8]) begin
                    $display("a byte without a stop bit");
                    fault;
                end
                phase = -1;
                received(shift[7:0]);
            end
        end else if (tx === 1'b0) phase = 0;
    end
endmodule

`default_nettype wire
