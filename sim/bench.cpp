// What a bench in Verilog runs by under Verilator: a main of its own needs no coroutines of the C++ compiler.
#include "Vbench.h"
#include "verilated.h"

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vbench bench{&context};
    bench.tick = 0;
    while (!context.gotFinish()) {
        bench.tick = !bench.tick;
        bench.eval();
        context.timeInc(1);
    }
    bench.final();
}
