// Between AXI4-Stream and a core with streams. No path leads from an input to an output within a clock, provided that the core's
// ready depends on no more than the ready behind it.
// TLAST goes with the last beat of a packet's last sample, and comes with that sample's result. A packet that ends within a sample
// has it completed with zeros; TUSER marks that result, which is void.
`default_nettype none

module dwn_axis_link #(
    parameter X_BYTES = 1,
    parameter TRANSFERS = 1, // beats of a sample
    parameter Y_BYTES = 1,
    parameter DEPTH = 2      // more samples than are under way in the core; a power of two
) (
    input  wire                 aclk,
    input  wire                 aresetn,
    input  wire [8*X_BYTES-1:0] s_axis_tdata,
    input  wire                 s_axis_tvalid,
    output wire                 s_axis_tready,
    input  wire                 s_axis_tlast,
    output wire [8*Y_BYTES-1:0] m_axis_tdata,
    output wire                 m_axis_tvalid,
    input  wire                 m_axis_tready,
    output wire                 m_axis_tlast,
    output wire                 m_axis_tuser,
    output wire [8*X_BYTES-1:0] x_payload,
    output wire                 x_valid,
    input  wire                 x_ready,
    input  wire [8*Y_BYTES-1:0] y_payload,
    input  wire                 y_valid,
    output wire                 y_ready
);
    localparam TURN_BITS = TRANSFERS > 1 ? $clog2(TRANSFERS) : 1, AT_BITS = $clog2(DEPTH);
    localparam [31:0] LAST_TURN = TRANSFERS - 1;

    // Beats into the core.
    reg [TURN_BITS-1:0] turn;
    reg filling;             // the packet ended within this sample
    wire last_turn = turn == LAST_TURN[TURN_BITS-1:0];
    wire taken = x_valid & x_ready;

    // What is known of each sample under way: {cut, last}.
    reg [1:0] marks [0:DEPTH-1];
    reg [AT_BITS-1:0] head, tail;
    wire empty = head == tail;
    wire full = head + 1'b1 == tail;
    wire [1:0] now = {filling, filling | s_axis_tlast};
    wire push = taken & last_turn;
    wire pop = y_valid & y_ready;
    wire [1:0] mark = empty ? now : marks[tail]; // a core without registers answers at once

    // Results, and a place for one more, so that ready need not wait for the sink's.
    localparam WIDTH = 8 * Y_BYTES + 2;
    reg [WIDTH-1:0] first, second;
    reg first_valid, second_valid;

    assign x_payload = filling ? {8 * X_BYTES{1'b0}} : s_axis_tdata;
    assign x_valid = (s_axis_tvalid | filling) & ~full;
    assign s_axis_tready = x_ready & ~full & ~filling;
    assign y_ready = ~second_valid;
    assign {m_axis_tuser, m_axis_tlast, m_axis_tdata} = first;
    assign m_axis_tvalid = first_valid;

    always @(posedge aclk) begin
        if (taken) begin
            turn <= last_turn ? 0 : turn + 1'b1;
            filling <= ~last_turn & now[0];
        end
        if (push) begin
            marks[head] <= now;
            head <= head + 1'b1;
        end
        if (pop) tail <= tail + 1'b1;
        if (m_axis_tready | ~first_valid) begin
            first <= second_valid ? second : {mark, y_payload};
            first_valid <= second_valid | y_valid;
            second_valid <= 1'b0;
        end else if (pop) begin
            second <= {mark, y_payload};
            second_valid <= 1'b1;
        end
        if (~aresetn) begin
            turn <= 0;
            filling <= 1'b0;
            head <= 0;
            tail <= 0;
            first_valid <= 1'b0;
            second_valid <= 1'b0;
        end
    end
endmodule

`default_nettype wire
