// Serial receiver: 8 data bits, no parity, one stop bit, lowest bit first. Each bit is read in its middle.
// VALID and DATA for one clock when a byte is whole; ERROR for one clock when the stop bit is not there.
`default_nettype none

module dwn_uart_rx #(
    parameter CLOCKS_PER_BIT = 104 // at least 4
) (
    input  wire       clk,
    input  wire       rst,
    input  wire       rx,
    output reg  [7:0] data,
    output reg        valid,
    output reg        error
);
    localparam WIDTH = $clog2(CLOCKS_PER_BIT);
    localparam [31:0] WHOLE = CLOCKS_PER_BIT - 1, HALF = CLOCKS_PER_BIT / 2 - 1;

    (* ASYNC_REG = "TRUE" *)
    reg [2:0] line;          // rx, taken into this clock domain; the oldest is highest
    reg [WIDTH-1:0] timer;
    reg [3:0] left;          // bits to come, the stop bit among them; 0: none
    reg starting;            // half a start bit was seen to be due

    always @(posedge clk) begin
        line <= {line[1:0], rx};
        valid <= 1'b0;
        error <= 1'b0;
        if (starting || left != 0) timer <= timer - 1'b1;
        if (!starting && left == 0) begin
            timer <= HALF[WIDTH-1:0];
            starting <= line[2] & ~line[1];
        end else if (timer == 0) begin
            timer <= WHOLE[WIDTH-1:0];
            starting <= 1'b0;
            if (starting) left <= line[1] ? 4'd0 : 4'd9; // a spike is no start bit
            else begin
                left <= left - 1'b1;
                if (left == 1) begin
                    valid <= line[1];
                    error <= ~line[1];
                end else data <= {line[1], data[7:1]};
            end
        end
        if (rst) begin
            line <= 3'b111;
            left <= 0;
            starting <= 1'b0;
            valid <= 1'b0;
            error <= 1'b0;
        end
    end
endmodule

`default_nettype wire
