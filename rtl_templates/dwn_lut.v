// One look-up table: Y is bit A of LUT. A[0] is the least significant address bit.
// WIDTH inputs, 1 to 8. Ports and parameters are those of yosys' own $lut cell, so that a yosys script can turn
// every instance into one with `chtype -set $lut t:dwn_lut` instead of elaborating each as a module.
module dwn_lut #(
    parameter WIDTH = 6,
    parameter [(1 << WIDTH) - 1:0] LUT = 0
) (
    input  wire [WIDTH-1:0] A,
    output wire             Y
);
    assign Y = LUT[A];
endmodule
