// Frames out of a stream of bytes, as in HDLC (RFC 1662): 0x7E, kind, number, length (2 bytes, low first), payload, CRC-16, 0x7E.
// 0x7E ends a frame and begins the next wherever it stands, so a damaged frame takes none with it; inside, 0x7E and 0x7D are
// sent as 0x7D and the byte ^ 0x20.
// OPENED: the first byte of a frame. TAKE: BYTE is one of the payload. CLOSED: the frame has ended, GOOD, DAMAGED or neither (its
// CRC is right, its length is not); KIND and NUMBER hold until the next one.
`default_nettype none

module dwn_deframe #(
    parameter TIMEOUT = 1 // clocks of silence that end a frame
) (
    input  wire       clk,
    input  wire       rst,
    input  wire [7:0] data,
    input  wire       valid,
    input  wire       error,
    output wire       opened,
    output wire       take,
    output wire [7:0] unstuffed,
    output wire       closed,
    output wire       good,
    output wire       damaged,
    output reg  [7:0] kind,
    output reg  [7:0] number
);
    localparam [2:0] KIND = 0, NUMBER = 1, LOW = 2, HIGH = 3, PAYLOAD = 4, CHECK = 5, WHOLE = 7; // 6: the CRC's second byte
    localparam WIDTH = $clog2(TIMEOUT + 1);
    localparam [31:0] LIMIT = TIMEOUT;

    reg [2:0] field;         // what the next byte is; WHOLE: none is due
    reg [15:0] left;         // bytes of payload to come
    reg escaped, spoiled, excess;
    reg [WIDTH-1:0] silence;
    wire [15:0] crc;
    wire [15:0] length = {unstuffed, left[7:0]};

    wire flag = valid & (data == 8'h7E);
    wire escape = valid & (data == 8'h7D);
    wire got = valid & ~flag & ~escape;
    wire cut = silence == LIMIT[WIDTH-1:0];
    wire begun = field != KIND | escaped | spoiled;

    assign unstuffed = data ^ {2'b00, escaped, 5'b00000};
    assign opened = got & field == KIND;
    assign take = got & field == PAYLOAD;
    assign closed = (flag | cut) & begun;
    assign damaged = cut | spoiled | escaped | crc != 16'hF0B8;
    assign good = ~damaged & field == WHOLE & ~excess;

    dwn_crc16 check (.clk(clk), .clear(rst | flag | cut), .valid(got), .data(unstuffed), .crc(crc));

    always @(posedge clk) begin
        silence <= valid | cut | ~begun ? 0 : silence + 1'b1;
        if (valid) escaped <= escape;
        if (error) spoiled <= 1'b1;
        if (got) begin
            case (field)
                KIND: kind <= unstuffed;
                NUMBER: number <= unstuffed;
                LOW: left[7:0] <= unstuffed;
                HIGH: left <= length;
                PAYLOAD: left <= left - 1'b1;
                default: ;
            endcase
            if (field == HIGH && length == 0) field <= CHECK;
            else if (field != WHOLE && (field != PAYLOAD || left == 1)) field <= field + 1'b1;
            if (field == WHOLE) excess <= 1'b1;
        end
        if (rst | flag | cut) begin
            field <= KIND;
            escaped <= 1'b0;
            spoiled <= 1'b0;
            excess <= 1'b0;
        end
        if (rst) silence <= 0;
    end
endmodule

`default_nettype wire
