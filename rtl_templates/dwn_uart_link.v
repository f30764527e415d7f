// Between a serial line and a core with streams: samples of requests into the core, its results into a buffer, and, once the
// request's CRC is known to be right, the buffer as a reply. docs/serial.md has the frames.
// A transfer of x is X_BYTES, low byte first; a sample is TRANSFERS of them. A result is the bytes of y, then three of the clocks
// from the last code that came in to this result.
`default_nettype none

module dwn_uart_link #(
    parameter CLOCKS_PER_BIT = 104,
    parameter TIMEOUT_BITS = 4096,  // bit times of silence that end a frame
    parameter [23:0] STALL = 24'hFFFFFF, // clocks without a result after which a core has stalled
    parameter X_BYTES = 1,
    parameter TRANSFERS = 1,
    parameter Y_BYTES = 1,
    parameter BATCH = 1,            // samples that a request may hold, at most 255
    parameter BUFFER = 512,         // more bytes than their results take, a power of two
    parameter IDENTITY_BYTES = 1,
    parameter [8*IDENTITY_BYTES-1:0] IDENTITY = 0
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              rx,
    output wire              tx,
    output wire              core_rst, // forget what is under way
    output reg  [8*X_BYTES-1:0] x_payload,
    output reg               x_valid,
    input  wire              x_ready,
    input  wire [8*Y_BYTES-1:0] y_payload,
    input  wire              y_valid,
    output wire              y_ready
);
    localparam [7:0] RUN = 8'h01, IDENTIFY = 8'h02, STATISTICS = 8'h03, REPLY = 8'h80;
    localparam [7:0] DAMAGED = 8'hC1, LENGTH = 8'hC2, UNKNOWN = 8'hC3, BUSY = 8'hC4, OVERRUN = 8'hC5, STALLED = 8'hC6;
    localparam PIECES = Y_BYTES + 3;
    localparam BYTE_BITS = X_BYTES > 1 ? $clog2(X_BYTES) : 1, TURN_BITS = TRANSFERS > 1 ? $clog2(TRANSFERS) : 1;
    localparam PIECE_BITS = $clog2(PIECES), AT_BITS = $clog2(BUFFER);
    localparam [31:0] LAST_BYTE = X_BYTES - 1, LAST_TURN = TRANSFERS - 1, LAST_PIECE = PIECES - 1, MOST = BATCH;
    localparam [31:0] IDENTITY_SIZE = IDENTITY_BYTES, STATISTICS_SIZE = 6;

    // The line.
    wire [7:0] in_data, code, kind, number, out_data, sent;
    wire in_valid, in_error, opened, take, closed, good, damaged, out_valid, out_ready, sending;

    dwn_uart_rx #(.CLOCKS_PER_BIT(CLOCKS_PER_BIT)) receiver (
        .clk(clk), .rst(rst), .rx(rx), .data(in_data), .valid(in_valid), .error(in_error)
    );
    dwn_deframe #(.TIMEOUT(TIMEOUT_BITS * CLOCKS_PER_BIT)) deframe (
        .clk(clk), .rst(rst), .data(in_data), .valid(in_valid), .error(in_error),
        .opened(opened), .take(take), .unstuffed(code), .closed(closed), .good(good), .damaged(damaged),
        .kind(kind), .number(number)
    );
    dwn_uart_tx #(.CLOCKS_PER_BIT(CLOCKS_PER_BIT)) transmitter (
        .clk(clk), .rst(rst), .data(out_data), .valid(out_valid), .ready(out_ready), .tx(tx)
    );

    // One reply waits while another is sent. Refusals have bit 6 set and no payload; what has one owns core and buffer.
    reg waits;
    reg [7:0] reply, reply_number;
    wire owned = waits & ~reply[6] | sending & ~sent[6];

    // Codes into the core.
    reg [BYTE_BITS-1:0] byte_at;
    reg [TURN_BITS-1:0] turn;
    reg [7:0] samples, due;  // samples of this frame; of those, results to come
    reg refused, overrun, excess, payload;
    wire fresh = opened & ~owned;
    wire fed = take & kind == RUN & ~refused & ~excess & samples != MOST[7:0];
    wire last_byte = byte_at == LAST_BYTE[BYTE_BITS-1:0], last_turn = turn == LAST_TURN[TURN_BITS-1:0];
    wire sample = fed & last_byte & last_turn;

    // Results into the buffer.
    reg [23:0] clocks;
    reg [PIECE_BITS-1:0] piece;
    reg [AT_BITS-1:0] filled;
    reg [7:0] buffer [0:BUFFER-1];
    reg [7:0] stored;
    wire [8*PIECES-1:0] pieces = {clocks, y_payload};
    wire stored_all = y_valid & piece == LAST_PIECE[PIECE_BITS-1:0];

    // Replies.
    reg [15:0] answers, wrong, refusals;
    wire [47:0] statistics = {refusals, wrong, answers};
    wire [AT_BITS-1:0] at;
    wire computed = due == 0 & ~x_valid;
    wire stalled = clocks == STALL;
    wire start = waits & ~sending & (reply != (REPLY | RUN) | computed);
    wire run = sent == (REPLY | RUN), identify = sent == (REPLY | IDENTIFY);
    wire [AT_BITS-1:0] length = sent[6] ? 0 : run ? filled : identify ? IDENTITY_SIZE[AT_BITS-1:0] : STATISTICS_SIZE[AT_BITS-1:0];
    wire [7:0] body = run ? stored : identify ? IDENTITY[8*at +: 8] : statistics[8*at +: 8];
    reg [7:0] verdict;

    dwn_enframe #(.AT_BITS(AT_BITS)) enframe (
        .clk(clk), .rst(rst), .start(start), .kind(reply), .number(reply_number), .length(length),
        .at(at), .body(body), .busy(sending), .sent(sent), .data(out_data), .valid(out_valid), .ready(out_ready)
    );

    assign core_rst = rst | fresh;
    assign y_ready = stored_all;

    always @*
        if (damaged) verdict = DAMAGED;
        else if (refused) verdict = BUSY;
        else if (kind != RUN & kind != IDENTIFY & kind != STATISTICS) verdict = UNKNOWN;
        else if (~good | excess | byte_at != 0 | turn != 0 | payload & kind != RUN) verdict = LENGTH;
        else if (overrun) verdict = OVERRUN;
        else verdict = REPLY | kind;

    always @(posedge clk) begin
        if (x_ready) x_valid <= 1'b0;
        if (fed) begin
            x_payload <= x_payload >> 8;
            x_payload[8*X_BYTES-1 -: 8] <= code;
            byte_at <= last_byte ? 0 : byte_at + 1'b1;
            if (last_byte) begin
                x_valid <= 1'b1;
                turn <= last_turn ? 0 : turn + 1'b1;
            end
            if (x_valid & ~x_ready) overrun <= 1'b1;
        end
        if (take & ~fed) excess <= 1'b1;
        if (take) payload <= 1'b1;
        samples <= samples + {7'b0, sample};
        due <= due + {7'b0, sample} - {7'b0, stored_all};
        if (core_rst) begin
            x_valid <= 1'b0;
            byte_at <= 0;
            turn <= 0;
            samples <= 0;
            due <= 0;
        end
        if (opened | rst) begin
            refused <= owned;
            overrun <= 1'b0;
            excess <= 1'b0;
            payload <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (sample) clocks <= 0;
        else if (~y_valid & ~stalled) clocks <= clocks + 1'b1;
        if (y_valid) begin
            buffer[filled] <= pieces[8*piece +: 8];
            filled <= filled + 1'b1;
            piece <= stored_all ? 0 : piece + 1'b1;
        end
        if (core_rst) begin
            filled <= 0;
            piece <= 0;
        end
        stored <= buffer[at];
    end

    always @(posedge clk) begin
        if (start) waits <= 1'b0;
        if (closed & (verdict[6] ? ~waits : 1'b1)) begin
            waits <= 1'b1;
            reply <= verdict;
            reply_number <= number;
        end else if (waits & reply == (REPLY | RUN) & ~computed & stalled) reply <= STALLED;
        // Not while they are being sent, so that no number changes between its bytes.
        if (~sending | sent != (REPLY | STATISTICS)) begin
            if (start & ~reply[6]) answers <= answers + 1'b1;
            if (closed & damaged) wrong <= wrong + 1'b1;
            if (closed & ~damaged & verdict[6]) refusals <= refusals + 1'b1;
        end
        if (rst) begin
            waits <= 1'b0;
            answers <= 0;
            wrong <= 0;
            refusals <= 0;
        end
    end
endmodule

`default_nettype wire
