// What Xilinx' LUT and carry cells do, for simulation only: synthesis tools for those devices have them built in.
// I0 is the least significant address bit; O is bit {I5, …, I0} of INIT.
/* verilator lint_off DECLFILENAME */
module LUT1 #(parameter [1:0] INIT = 0) (input wire I0, output wire O);
    assign O = INIT[I0];
endmodule

module LUT2 #(parameter [3:0] INIT = 0) (input wire I0, input wire I1, output wire O);
    assign O = INIT[{I1, I0}];
endmodule

module LUT3 #(parameter [7:0] INIT = 0) (input wire I0, input wire I1, input wire I2, output wire O);
    assign O = INIT[{I2, I1, I0}];
endmodule

module LUT4 #(parameter [15:0] INIT = 0) (
    input wire I0, input wire I1, input wire I2, input wire I3, output wire O
);
    assign O = INIT[{I3, I2, I1, I0}];
endmodule

module LUT5 #(parameter [31:0] INIT = 0) (
    input wire I0, input wire I1, input wire I2, input wire I3, input wire I4, output wire O
);
    assign O = INIT[{I4, I3, I2, I1, I0}];
endmodule

module LUT6 #(parameter [63:0] INIT = 0) (
    input wire I0, input wire I1, input wire I2, input wire I3, input wire I4, input wire I5, output wire O
);
    assign O = INIT[{I5, I4, I3, I2, I1, I0}];
endmodule

// Of one table: O6 of all inputs, O5 of its lower half.
module LUT6_2 #(parameter [63:0] INIT = 0) (
    input wire I0, input wire I1, input wire I2, input wire I3, input wire I4, input wire I5, output wire O6, output wire O5
);
    assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];
    assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];
endmodule

// Four sites of a carry chain: each passes the carry below or its own bit, as its LUT says.
/* verilator lint_off UNOPTFLAT */
module CARRY4 (
    input wire CI, input wire CYINIT, input wire [3:0] DI, input wire [3:0] S,
    output wire [3:0] CO, output wire [3:0] O
);
    assign CO[0] = S[0] ? (CI | CYINIT) : DI[0];
    assign CO[1] = S[1] ? CO[0] : DI[1];
    assign CO[2] = S[2] ? CO[1] : DI[2];
    assign CO[3] = S[3] ? CO[2] : DI[3];
    assign O = S ^ {CO[2:0], CI | CYINIT};
endmodule
/* verilator lint_on UNOPTFLAT */
/* verilator lint_on DECLFILENAME */
