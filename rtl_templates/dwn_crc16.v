// CRC-16/X-25, as HDLC's frame check (RFC 1662): polynomial 0x1021, lowest bit first, from all ones. Over a frame and its own
// complemented CRC it is 0xF0B8.
`default_nettype none

module dwn_crc16 (
    input  wire        clk,
    input  wire        clear,
    input  wire        valid,
    input  wire [7:0]  data,
    output reg  [15:0] crc
);
    function [15:0] advance(input [15:0] from, input [7:0] bits);
        integer i;
        begin
            advance = from ^ {8'h00, bits};
            for (i = 0; i < 8; i = i + 1) advance = {1'b0, advance[15:1]} ^ (advance[0] ? 16'h8408 : 16'h0000);
        end
    endfunction

    always @(posedge clk)
        if (clear) crc <= 16'hFFFF;
        else if (valid) crc <= advance(crc, data);
endmodule

`default_nettype wire
