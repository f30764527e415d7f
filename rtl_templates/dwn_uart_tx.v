// Serial transmitter: 8 data bits, no parity, one stop bit, lowest bit first. DATA is taken in a clock with VALID and READY.
`default_nettype none

module dwn_uart_tx #(
    parameter CLOCKS_PER_BIT = 104 // at least 4
) (
    input  wire       clk,
    input  wire       rst,
    input  wire [7:0] data,
    input  wire       valid,
    output wire       ready,
    output wire       tx
);
    localparam WIDTH = $clog2(CLOCKS_PER_BIT);
    localparam [31:0] WHOLE = CLOCKS_PER_BIT - 1;

    reg [WIDTH-1:0] timer;
    reg [3:0] left;  // bits to come, the one on the line among them
    reg [8:0] bits;  // the one on the line is lowest

    assign ready = left == 0;
    assign tx = bits[0];

    always @(posedge clk) begin
        timer <= timer - 1'b1;
        if (ready) begin
            timer <= WHOLE[WIDTH-1:0];
            if (valid) begin
                bits <= {data, 1'b0};
                left <= 4'd10;
            end
        end else if (timer == 0) begin
            timer <= WHOLE[WIDTH-1:0];
            bits <= {1'b1, bits[8:1]};
            left <= left - 1'b1;
        end
        if (rst) begin
            bits <= 9'h1FF;
            left <= 0;
        end
    end
endmodule

`default_nettype wire
