// For synthesis with yosys: dwn_lut as an empty box, which `chtype -set $lut t:dwn_lut` turns into yosys' own cell.
(* blackbox *)
module dwn_lut #(
    parameter WIDTH = 6,
    parameter [(1 << WIDTH) - 1:0] LUT = 0
) (
    input  wire [WIDTH-1:0] A,
    output wire             Y
);
endmodule
