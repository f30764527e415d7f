// What Gowin's LUTs and wide multiplexers do, for simulation only: synthesis tools for those devices have them built in.
// I0 is the least significant address bit; F is bit {I3, …, I0} of INIT.
/* verilator lint_off DECLFILENAME */
module LUT1 #(parameter [1:0] INIT = 0) (input wire I0, output wire F);
    assign F = INIT[I0];
endmodule

module LUT2 #(parameter [3:0] INIT = 0) (input wire I0, input wire I1, output wire F);
    assign F = INIT[{I1, I0}];
endmodule

module LUT3 #(parameter [7:0] INIT = 0) (input wire I0, input wire I1, input wire I2, output wire F);
    assign F = INIT[{I2, I1, I0}];
endmodule

module LUT4 #(parameter [15:0] INIT = 0) (
    input wire I0, input wire I1, input wire I2, input wire I3, output wire F
);
    assign F = INIT[{I3, I2, I1, I0}];
endmodule

module MUX2_LUT5 (input wire I0, input wire I1, input wire S0, output wire O);
    assign O = S0 ? I1 : I0;
endmodule

module MUX2_LUT6 (input wire I0, input wire I1, input wire S0, output wire O);
    assign O = S0 ? I1 : I0;
endmodule
/* verilator lint_on DECLFILENAME */
