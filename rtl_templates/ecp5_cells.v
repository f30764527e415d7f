// What Lattice ECP5's LUT and wide multiplexers do, for simulation only: synthesis tools for those devices have them
// built in. A is the least significant address bit; Z of a LUT4 is bit {D, C, B, A} of INIT.
/* verilator lint_off DECLFILENAME */
module LUT4 #(parameter [15:0] INIT = 0) (input wire A, input wire B, input wire C, input wire D, output wire Z);
    assign Z = INIT[{D, C, B, A}];
endmodule

module PFUMX (input wire ALUT, input wire BLUT, input wire C0, output wire Z);
    assign Z = C0 ? ALUT : BLUT;
endmodule

module L6MUX21 (input wire D0, input wire D1, input wire SD, output wire Z);
    assign Z = SD ? D1 : D0;
endmodule
/* verilator lint_on DECLFILENAME */
