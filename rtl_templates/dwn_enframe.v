// A frame as a stream of bytes, the inverse of dwn_deframe. START while not BUSY takes KIND, NUMBER and LENGTH's payload; BODY must be
// byte AT of the payload from a few clocks after AT changed until it changes again, and LENGTH must hold.
`default_nettype none

module dwn_enframe #(
    parameter AT_BITS = 9 // 1 to 16
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               start,
    input  wire [7:0]         kind,
    input  wire [7:0]         number,
    input  wire [AT_BITS-1:0] length,
    output reg  [AT_BITS-1:0] at,
    input  wire [7:0]         body,
    output wire               busy,
    output reg  [7:0]         sent,   // the kind of the frame that is being sent
    output wire [7:0]         data,
    output wire               valid,
    input  wire               ready
);
    localparam [3:0] IDLE = 0, OPEN = 1, KIND = 2, NUMBER = 3, LOW = 4, HIGH = 5, BODY = 6, CHECK = 7, CHECKED = 8, CLOSE = 9;

    reg [3:0] field;
    reg [7:0] own;           // its number
    reg escaped;
    reg [7:0] plain;
    wire [15:0] crc;
    wire [15:0] size = {{(16 - AT_BITS){1'b0}}, length};

    always @*
        case (field)
            KIND: plain = sent;
            NUMBER: plain = own;
            LOW: plain = size[7:0];
            HIGH: plain = size[15:8];
            BODY: plain = body;
            CHECK: plain = ~crc[7:0];
            CHECKED: plain = ~crc[15:8];
            default: plain = 8'h7E;
        endcase

    wire delimits = field == OPEN | field == CLOSE;
    wire special = ~delimits & (plain == 8'h7E | plain == 8'h7D);
    wire whole = ready & (escaped | ~special); // the last, or only, byte that PLAIN becomes
    wire counted = whole & field != CHECK & field != CHECKED;

    assign busy = field != IDLE;
    assign valid = busy;
    assign data = escaped ? plain ^ 8'h20 : special ? 8'h7D : plain;

    dwn_crc16 check (.clk(clk), .clear(field == OPEN), .valid(counted & busy), .data(plain), .crc(crc));

    always @(posedge clk) begin
        if (busy & ready) escaped <= special & ~escaped;
        if (~busy) begin
            at <= 0;
            if (start) begin
                field <= OPEN;
                sent <= kind;
                own <= number;
            end
        end else if (whole) begin
            case (field)
                HIGH: field <= size == 0 ? CHECK : BODY;
                BODY: begin
                    at <= at + 1'b1;
                    if (at + 1'b1 == length) field <= CHECK;
                end
                CLOSE: field <= IDLE;
                default: field <= field + 1'b1;
            endcase
        end
        if (rst) begin
            field <= IDLE;
            escaped <= 1'b0;
        end
    end
endmodule

`default_nettype wire
