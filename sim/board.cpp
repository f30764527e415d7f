// A virtual board: the whole design, shell and core, with its serial line on a pseudo-terminal.
//
// Built by Verilator together with the Verilog of an export, whose uart shell it calls Vboard. Prints the name of the terminal's
// device, then runs until its standard input ends or it is interrupted; any serial program can talk to the device at any baud rate.
// Simulated time passes only while something is on the line, or was until a moment ago.

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <memory>

#include "Vboard.h"
#include "verilated.h"

static const unsigned kClocksPerBit = CLOCKS_PER_BIT, kReset = 4;

// Clocks without anything on the line after which the design waits for nothing but the next byte.
static const unsigned long kQuiet = IDLE_CLOCKS;

// The device that a host opens, and our side of it, which does not block.
static int open_terminal() {
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) || unlockpt(terminal)) return -1;
    const char* name = ptsname(terminal);
    int device = name ? open(name, O_RDWR | O_NOCTTY) : -1;  // kept open: the line stays while no host is there
    struct termios raw;
    if (device < 0 || tcgetattr(device, &raw)) return -1;
    cfmakeraw(&raw);
    if (tcsetattr(device, TCSANOW, &raw) || fcntl(terminal, F_SETFL, O_NONBLOCK)) return -1;
    printf("%s\n", name);
    fflush(stdout);
    return terminal;
}

// Bytes from the host, bit by bit onto the design's rx.
struct Sender {
    unsigned bits = 1, left = 0, timer = 0;
    bool busy() const { return left; }
    void load(unsigned char byte) {
        bits = byte << 1 | 1 << 9;
        left = 10;
        timer = kClocksPerBit;
    }
    bool clock() {
        bool level = left ? bits & 1 : true;
        if (left && --timer == 0) {
            bits >>= 1;
            timer = kClocksPerBit;
            --left;
        }
        return level;
    }
};

// Bits of the design's tx as bytes; clock() is true when one is whole.
struct Receiver {
    unsigned byte = 0, left = 0, timer = 0;
    bool clock(bool level) {
        if (!left) {
            if (!level) left = 10, timer = kClocksPerBit / 2 + 1;
            return false;
        }
        if (--timer) return false;
        timer = kClocksPerBit;
        --left;
        if (left < 9 && left) byte = byte >> 1 | (level ? 0x80 : 0);
        return !left && level;
    }
};

// Whether there is something from the host before TIMEOUT ms are over; ends the program with its standard input.
static bool wait_for(int terminal, int timeout) {
    struct pollfd waits[2] = {{terminal, POLLIN, 0}, {0, POLLIN, 0}};
    if (poll(waits, 2, timeout) < 0) exit(0);
    char rest[64];
    if (waits[1].revents && read(0, rest, sizeof rest) <= 0) exit(0);
    return waits[0].revents & POLLIN;
}

int main() {
    int terminal = open_terminal();
    if (terminal < 0) {
        perror("pseudo-terminal");
        return 1;
    }
    std::unique_ptr<VerilatedContext> context(new VerilatedContext);
    std::unique_ptr<Vboard> board(new Vboard(context.get()));
    Sender sender;
    Receiver receiver;
    unsigned char received[4096];
    ssize_t have = 0, used = 0;
    unsigned long quiet = 0;
    for (unsigned long clock = 0;; ++clock) {
        if (clock > kReset + 2 * kClocksPerBit && !sender.busy()) {
            if (used == have && (quiet > kQuiet ? wait_for(terminal, -1) : clock % 64 == 0 || quiet == 1)) {
                have = read(terminal, received, sizeof received), used = 0;
                if (have < 0) have = 0;
                if (clock % 65536 == 0) wait_for(terminal, 0);
            }
            if (used < have) sender.load(received[used++]), quiet = 0;
        }
        board->rst = clock < kReset;
        board->rx = sender.clock();
        board->clk = 0;
        board->eval();
        board->clk = 1;
        board->eval();
        if (receiver.clock(board->tx)) {
            unsigned char byte = receiver.byte;
            while (write(terminal, &byte, 1) < 0) wait_for(terminal, 1);
        }
        quiet = sender.busy() || receiver.left ? 0 : quiet + 1;
    }
}
