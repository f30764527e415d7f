// What Lattice iCE40's LUT does, for simulation only: synthesis tools for those devices have it built in.
// I0 is the least significant address bit; O is bit {I3, I2, I1, I0} of LUT_INIT.
/* verilator lint_off DECLFILENAME */
module SB_LUT4 #(parameter [15:0] LUT_INIT = 0) (
    input wire I0, input wire I1, input wire I2, input wire I3, output wire O
);
    assign O = LUT_INIT[{I3, I2, I1, I0}];
endmodule
/* verilator lint_on DECLFILENAME */
