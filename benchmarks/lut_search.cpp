// Fewer LUTs for the same function: a random walk over LUT networks, each step of which is exact on a given domain.
//
//     lut_search DOMAIN SEED STEPS < network > network
//
// A step takes a LUT, works out by simulation for which points of the domain its value matters at all, and looks for other
// inputs that tell the value at those points. Networks of equal cost are as good as each other, so it drifts; now and then it
// adds a redundant LUT, and goes back when that has led nowhere. Seeded and bounded in steps: the same arguments, the same result.
//
// DOMAIN (binary): int32 inputs, outputs, words; then for each input, for "valid" and for each output `words` uint64, a point a bit.
// A network (text): inputs, LUTs and outputs; a line a LUT (number of inputs, nets, table in hex); the output nets. Net i is input
// i, or LUT i - inputs. Input 0 of a LUT is the lowest bit of the address.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

using std::vector;
using Word = uint64_t;
using Words = vector<Word>;
using Nets = vector<int>;

constexpr int K = 6;             // inputs of a LUT
constexpr int SAMPLE = 256;      // words on which a candidate is tried before it is tried on all
constexpr int MOST_SAMPLED = 4096;
constexpr int TRIES = 60;        // candidates for a LUT in one step
constexpr int PATIENCE = 600;    // changes with more LUTs than the best before going back
constexpr int MOST_SPARE = 2;    // so many LUTs more than the best at most
constexpr double SPARE_RATE = 0.02;
constexpr double SHARED = 0.7;   // cost of the first reader of a net that another reads, of the last reader as gain
constexpr long EPOCH = 20000;    // steps of one temperature

std::mt19937_64 source;
int below(int n) { return static_cast<int>(source() % static_cast<Word>(n)); }
double unit() { return static_cast<double>(source() >> 11) / 9007199254740992.0; }
bool has(const Nets& nets, int net) { return std::find(nets.begin(), nets.end(), net) != nets.end(); }
Word ones(size_t inputs) { return inputs == 6 ? ~0ull : (1ull << (1 << inputs)) - 1; }

struct Lut {
    Nets in;
    Word table;
};

struct Network {
    int inputs = 0;
    vector<Lut> luts;
    Nets outputs;
    int net(int lut) const { return inputs + lut; }
    int nets() const { return inputs + static_cast<int>(luts.size()); }
};

struct Domain {
    int words = 0;
    vector<Words> inputs, outputs;
    Words valid;

    static Domain load(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        int32_t head[3] = {0, 0, 0};
        file.read(reinterpret_cast<char*>(head), sizeof head);
        Domain d;
        d.words = head[2];
        auto read = [&] {
            Words words(static_cast<size_t>(d.words));
            file.read(reinterpret_cast<char*>(words.data()), 8ll * d.words);
            return words;
        };
        for (int i = 0; i < head[0]; i++) d.inputs.push_back(read());
        d.valid = read();
        for (int i = 0; i < head[1]; i++) d.outputs.push_back(read());
        if (!file || d.words <= 0) throw std::runtime_error("cannot read the domain " + path);
        return d;
    }

    void take(const Domain& other, int from, int to) {
        auto append = [&](Words& mine, const Words& theirs) { mine.insert(mine.end(), theirs.begin() + from, theirs.begin() + to); };
        inputs.resize(other.inputs.size());
        outputs.resize(other.outputs.size());
        for (size_t i = 0; i < inputs.size(); i++) append(inputs[i], other.inputs[i]);
        for (size_t i = 0; i < outputs.size(); i++) append(outputs[i], other.outputs[i]);
        append(valid, other.valid);
        words += to - from;
    }
};

// The table without one input, at one value of it.
Word cofactor(Word table, size_t inputs, size_t input, int value) {
    Word result = 0;
    for (int a = 0; a < 1 << (inputs - 1); a++) {
        int full = (a & ((1 << input) - 1)) | (a >> input << (input + 1)) | value << input;
        result |= (table >> full & 1) << a;
    }
    return result;
}

void drop_idle_inputs(Lut& lut) {
    for (size_t i = lut.in.size(); i-- > 0;) {
        Word low = cofactor(lut.table, lut.in.size(), i, 0), high = cofactor(lut.table, lut.in.size(), i, 1);
        if (low == high) {
            lut.table = low;
            lut.in.erase(lut.in.begin() + static_cast<long>(i));
        }
    }
}

// The values of all nets at the points of a domain.
struct Simulation {
    Domain* domain = nullptr;
    vector<Words> values, flipped;

    vector<const Word*> pointers(const Network& g) const {
        vector<const Word*> p;
        for (const Words& w : domain->inputs) p.push_back(w.data());
        for (size_t i = 0; i < g.luts.size(); i++) p.push_back(values[i].data());
        return p;
    }

    void evaluate(const Lut& lut, const vector<const Word*>& nets, Words& out) const {
        constexpr int BLOCK = 32;
        Word part[32][BLOCK];
        size_t inputs = lut.in.size();
        out.resize(static_cast<size_t>(domain->words));
        for (int start = 0; start < domain->words; start += BLOCK) {
            int count = std::min(BLOCK, domain->words - start);
            if (inputs == 0) {
                std::fill_n(out.begin() + start, count, lut.table & 1 ? ~0ull : 0ull);
                continue;
            }
            int halves = 1 << (inputs - 1);
            const Word* first = nets[static_cast<size_t>(lut.in[0])] + start;
            for (int j = 0; j < halves; j++) {
                Word zero = lut.table >> (2 * j) & 1 ? ~0ull : 0, one = lut.table >> (2 * j + 1) & 1 ? ~0ull : 0;
                for (int i = 0; i < count; i++) part[j][i] = zero ^ ((zero ^ one) & first[i]);
            }
            for (size_t input = 1; input < inputs; input++) {
                halves >>= 1;
                const Word* select = nets[static_cast<size_t>(lut.in[input])] + start;
                for (int j = 0; j < halves; j++)
                    for (int i = 0; i < count; i++) part[j][i] = part[2 * j][i] ^ ((part[2 * j][i] ^ part[2 * j + 1][i]) & select[i]);
            }
            std::memcpy(&out[static_cast<size_t>(start)], part[0], 8 * static_cast<size_t>(count));
        }
    }

    // Values of LUT `first` and of all that it reaches; of all LUTs when `first` is negative.
    void update(const Network& g, int first) {
        values.resize(g.luts.size());
        for (Words& w : values) w.resize(static_cast<size_t>(domain->words));
        vector<char> reached(g.luts.size(), first < 0);
        if (first >= 0) reached[static_cast<size_t>(first)] = 1;
        auto nets = pointers(g);
        for (size_t i = 0; i < g.luts.size(); i++) {
            for (int net : g.luts[i].in) reached[i] |= net >= g.inputs && reached[static_cast<size_t>(net - g.inputs)];
            if (reached[i]) evaluate(g.luts[i], nets, values[i]);
        }
    }

    bool right(const Network& g) const {
        auto nets = pointers(g);
        for (size_t o = 0; o < g.outputs.size(); o++)
            for (int w = 0; w < domain->words; w++) {
                auto i = static_cast<size_t>(w);
                if ((nets[static_cast<size_t>(g.outputs[o])][w] ^ domain->outputs[o][i]) & domain->valid[i]) return false;
            }
        return true;
    }

    // Where the value of a LUT matters, and what it must be there; `reached`: the LUTs that depend on it.
    void wanted(const Network& g, int lut, Words& on, Words& off, vector<char>& reached) {
        auto x = static_cast<size_t>(lut), words = static_cast<size_t>(domain->words);
        reached.assign(g.luts.size(), 0);
        reached[x] = 1;
        flipped.resize(std::max(flipped.size(), g.luts.size()));
        auto nets = pointers(g);
        flipped[x].resize(words);
        for (size_t w = 0; w < words; w++) flipped[x][w] = ~values[x][w];
        nets[static_cast<size_t>(g.net(lut))] = flipped[x].data();
        for (size_t i = x + 1; i < g.luts.size(); i++) {
            for (int net : g.luts[i].in) reached[i] |= net >= g.inputs && reached[static_cast<size_t>(net - g.inputs)];
            if (!reached[i]) continue;
            evaluate(g.luts[i], nets, flipped[i]);
            nets[static_cast<size_t>(g.net(static_cast<int>(i)))] = flipped[i].data();
        }
        on.assign(words, 0);
        off.assign(words, 0);
        for (int output : g.outputs) {
            if (output < g.inputs || !reached[static_cast<size_t>(output - g.inputs)]) continue;
            const Words& now = values[static_cast<size_t>(output - g.inputs)];
            for (size_t w = 0; w < words; w++) on[w] |= (nets[static_cast<size_t>(output)][w] ^ now[w]) & domain->valid[w];
        }
        for (size_t w = 0; w < words; w++) {
            off[w] = on[w] & ~values[x][w];
            on[w] &= values[x][w];
        }
    }
};

// Adds what the words from..to say about a table over `nets`; the first word that contradicts, or -1.
int learn(const Words& on, const Words& off, const vector<const Word*>& nets, int from, int to, Word& one, Word& zero) {
    for (int w = from; w < to; w++) {
        Word a = on[static_cast<size_t>(w)], b = off[static_cast<size_t>(w)], minterm[64];
        if (!(a | b)) continue;
        minterm[0] = ~0ull;
        int count = 1;
        for (const Word* net : nets) {
            for (int j = 0; j < count; j++) {
                minterm[count + j] = minterm[j] & net[w];
                minterm[j] &= ~net[w];
            }
            count <<= 1;
        }
        for (int j = 0; j < count; j++) {
            one |= static_cast<Word>((minterm[j] & a) != 0) << j;
            zero |= static_cast<Word>((minterm[j] & b) != 0) << j;
        }
        if (one & zero) return w;
    }
    return -1;
}

class Search {
  public:
    Search(Network start, Domain& all) : g(std::move(start)) {
        sample.take(all, 0, std::min(SAMPLE, all.words));
        full.domain = &all;
        quick.domain = &sample;
        refresh();
        if (!full.right(g)) throw std::runtime_error("the network to begin with is wrong");
        tidy(-1);
        best = home = g;
    }

    Network run(long steps) {
        int away = 0;
        for (long step = 0; step < steps; step++) {
            if (step % EPOCH == 0) temperature = 0.3 * std::pow(8.0, unit());
            if (unit() < (g.luts.size() <= best.luts.size() ? SPARE_RATE : SPARE_RATE / 5)) add_spare();
            if (!change(below(static_cast<int>(g.luts.size())))) continue;
            if (g.luts.size() <= best.luts.size()) {
                if (g.luts.size() < best.luts.size()) std::fprintf(stderr, "step %ld: %zu LUTs\n", step, g.luts.size());
                best = home = g;
                away = 0;
            } else if (++away > PATIENCE || g.luts.size() > best.luts.size() + MOST_SPARE) {
                g = home;
                refresh();
                away = 0;
            }
        }
        g = best;
        refresh();
        if (!full.right(g)) throw std::logic_error("a step was not exact");
        return best;
    }

  private:
    Network g, best, home;
    Domain sample;
    Simulation full, quick;
    double temperature = 1;

    void refresh() {
        full.update(g, -1);
        quick.update(g, -1);
    }

    // Tries other inputs for a LUT; whether any were taken.
    bool change(int lut) {
        Words on, off, all_on, all_off;
        vector<char> reached, ignored;
        quick.wanted(g, lut, on, off, reached);
        Nets candidates;
        for (int net = 0; net < g.nets(); net++)
            if (net < g.inputs || !reached[static_cast<size_t>(net - g.inputs)]) candidates.push_back(net);
        vector<int> readers(static_cast<size_t>(g.nets()), 0);
        for (const Lut& other : g.luts)
            for (int net : other.in) readers[static_cast<size_t>(net)]++;
        for (int net : g.outputs) readers[static_cast<size_t>(net)] += 2;
        const Nets now = g.luts[static_cast<size_t>(lut)].in;
        bool known = false;
        for (int i = 0; i < TRIES; i++) {
            Nets in = vary(now, candidates);
            if (in == now || in.empty() || in.size() > K) continue;
            double worse = cost(now, in, readers);
            if (worse > 0 && unit() > std::exp(-worse / temperature)) continue;
            Word one = 0, zero = 0;
            if (!agrees(quick, on, off, in, one, zero)) continue;
            if (!known) full.wanted(g, lut, all_on, all_off, ignored);
            known = true;
            one = zero = 0;
            int bad = learn(all_on, all_off, chosen(full, in), 0, full.domain->words, one, zero);
            if (bad >= 0) {
                learn_from(bad);
                if (sample.words > static_cast<int>(on.size())) {
                    on.push_back(all_on[static_cast<size_t>(bad)]);
                    off.push_back(all_off[static_cast<size_t>(bad)]);
                }
                continue;
            }
            Word idle = ones(in.size()) & ~(one | zero);
            g.luts[static_cast<size_t>(lut)] = {in, one | (idle & (below(2) ? source() : below(2) ? 0 : ~0ull))};
            tidy(lut);
            return true;
        }
        return false;
    }

    Nets vary(Nets in, const Nets& candidates) {
        int way = below(10), any = candidates[static_cast<size_t>(below(static_cast<int>(candidates.size())))];
        auto place = static_cast<size_t>(below(static_cast<int>(in.size())));
        if (way < 2) {
            in.erase(in.begin() + static_cast<long>(place));
        } else if (way < 6) {
            if (!has(in, any)) in[place] = any;
        } else if (way < 7) {
            if (!has(in, any)) in.push_back(any);
        } else if (way < 8) {
            if (in[place] < g.inputs) return in;
            const Nets inner = g.luts[static_cast<size_t>(in[place] - g.inputs)].in;
            in.erase(in.begin() + static_cast<long>(place));
            for (int net : inner)
                if (!has(in, net)) in.push_back(net);
        } else {
            for (int i = 0; i < 2; i++) {
                int net = candidates[static_cast<size_t>(below(static_cast<int>(candidates.size())))];
                if (!has(in, net)) in[static_cast<size_t>(below(static_cast<int>(in.size())))] = net;
            }
        }
        return in;
    }

    // What other inputs cost: LUTs with few readers are on their way out.
    double cost(const Nets& now, const Nets& in, const vector<int>& readers) const {
        double sum = static_cast<double>(in.size()) - static_cast<double>(now.size());
        for (int net : now)
            if (net >= g.inputs && !has(in, net)) {
                int n = readers[static_cast<size_t>(net)];
                sum -= n == 1 ? 100 : n == 2 ? SHARED : 0;
            }
        for (int net : in)
            if (net >= g.inputs && !has(now, net) && readers[static_cast<size_t>(net)] == 1) sum += SHARED;
        return sum;
    }

    vector<const Word*> chosen(const Simulation& simulation, const Nets& in) const {
        auto nets = simulation.pointers(g);
        vector<const Word*> result;
        for (int net : in) result.push_back(nets[static_cast<size_t>(net)]);
        return result;
    }

    bool agrees(const Simulation& simulation, const Words& on, const Words& off, const Nets& in, Word& one, Word& zero) const {
        auto nets = chosen(simulation, in);
        int words = simulation.domain->words, start = below(words);
        return learn(on, off, nets, start, words, one, zero) < 0 && learn(on, off, nets, 0, start, one, zero) < 0;
    }

    // A word on which the sample was too small joins it.
    void learn_from(int word) {
        if (sample.words >= MOST_SAMPLED) return;
        sample.take(*full.domain, word, word + 1);
        for (size_t i = 0; i < g.luts.size(); i++) quick.values[i].push_back(full.values[i][static_cast<size_t>(word)]);
    }

    // A LUT more, as an idle input of another.
    void add_spare() {
        if (g.luts.size() >= best.luts.size() + MOST_SPARE) return;
        int reader = below(static_cast<int>(g.luts.size()));
        if (g.luts[static_cast<size_t>(reader)].in.size() >= K) return;
        Lut spare = random_lut(reader);
        drop_idle_inputs(spare);
        if (spare.in.size() < 2) return;
        int place = g.net(reader);
        auto shift = [&](int& net) { net += net >= place; };
        for (Lut& lut : g.luts)
            for (int& net : lut.in) shift(net);
        for (int& net : g.outputs) shift(net);
        g.luts.insert(g.luts.begin() + reader, spare);
        Lut& next = g.luts[static_cast<size_t>(reader) + 1];
        next.table = (next.table & ones(next.in.size())) | (next.table & ones(next.in.size())) << (1 << next.in.size());
        next.in.push_back(place);
        for (Simulation* simulation : {&full, &quick}) {
            simulation->values.insert(simulation->values.begin() + reader, Words(static_cast<size_t>(simulation->domain->words)));
            auto nets = simulation->pointers(g);
            simulation->evaluate(spare, nets, simulation->values[static_cast<size_t>(reader)]);
        }
    }

    // A gate of a few nets below a LUT, or a variation of another LUT below it.
    Lut random_lut(int reader) {
        Lut lut{{}, 0};
        auto pick = [&](int count, const Nets* nets) {
            for (int i = 0; i < count; i++) {
                int net = nets ? (*nets)[static_cast<size_t>(below(static_cast<int>(nets->size())))] : below(g.net(reader));
                if (!has(lut.in, net)) lut.in.push_back(net);
            }
        };
        int way = reader ? below(6) : 0;
        if (way == 0) {
            pick(2 + below(3), nullptr);
            lut.table = gate(static_cast<int>(lut.in.size()));
        } else if (way == 1) {
            pick(2 + below(2), &g.luts[static_cast<size_t>(reader)].in);
            if (below(2)) pick(1 + below(2), nullptr);
            lut.table = gate(static_cast<int>(lut.in.size()));
        } else {
            lut = g.luts[static_cast<size_t>(below(reader))];
            size_t inputs = lut.in.size();
            int any = below(g.net(reader));
            if (way == 2 && inputs > 1) {
                auto place = static_cast<size_t>(below(static_cast<int>(inputs)));
                lut.table = cofactor(lut.table, inputs, place, below(2));
                lut.in.erase(lut.in.begin() + static_cast<long>(place));
            } else if (way < 5 && inputs < K && !has(lut.in, any)) {
                Word low = lut.table & ones(inputs), high = (below(2) ? ~low : below(2) ? 0 : ~0ull) & ones(inputs);
                lut.table = low | high << (1 << inputs);
                lut.in.push_back(any);
            }
        }
        return lut;
    }

    // And, parity, threshold or multiplexer, of inputs that may be inverted.
    Word gate(int inputs) {
        Word table = 0;
        int kind = below(4), inverted = below(1 << inputs), threshold = 1 + below(inputs), all = (1 << inputs) - 1;
        for (int a = 0; a <= all; a++) {
            int v = a ^ inverted, count = __builtin_popcount(static_cast<unsigned>(v));
            bool mux = inputs >= 3 ? (v & 1 ? v >> 1 & 1 : v >> 2 & 1) : v == all;
            bool value = kind == 0 ? v == all : kind == 1 ? count & 1 : kind == 2 ? count >= threshold : mux;
            table |= static_cast<Word>(value) << a;
        }
        return table;
    }

    // After a change of `lut`: no idle inputs, no buffers, no LUT that nothing reads; order and values up to date.
    void tidy(int lut) {
        bool simple = lut < 0;
        if (!simple) {
            Lut& changed = g.luts[static_cast<size_t>(lut)];
            drop_idle_inputs(changed);
            simple = changed.in.size() < 2;
            if (simple) bypass(lut);
        }
        vector<char> done(g.luts.size(), 0);
        Nets order;
        for (int net : g.outputs) visit(net, done, order);
        std::vector<int> number(static_cast<size_t>(g.nets()), -1);
        for (int i = 0; i < g.inputs; i++) number[static_cast<size_t>(i)] = i;
        Network next;
        next.inputs = g.inputs;
        vector<Words> values, sampled;
        for (int old : order) {
            auto i = static_cast<size_t>(old);
            number[static_cast<size_t>(g.net(old))] = next.nets();
            next.luts.push_back(g.luts[i]);
            for (int& net : next.luts.back().in) net = number[static_cast<size_t>(net)];
            values.push_back(std::move(full.values[i]));
            sampled.push_back(std::move(quick.values[i]));
        }
        for (int net : g.outputs) next.outputs.push_back(number[static_cast<size_t>(net)]);
        int moved = simple ? -1 : number[static_cast<size_t>(g.net(lut))];
        g = std::move(next);
        full.values.swap(values);
        quick.values.swap(sampled);
        if (simple || moved >= 0) {
            full.update(g, simple ? -1 : moved - g.inputs);
            quick.update(g, simple ? -1 : moved - g.inputs);
        }
    }

    void visit(int net, vector<char>& done, Nets& order) const {
        if (net < g.inputs || done[static_cast<size_t>(net - g.inputs)]) return;
        done[static_cast<size_t>(net - g.inputs)] = 1;
        for (int inner : g.luts[static_cast<size_t>(net - g.inputs)].in) visit(inner, done, order);
        order.push_back(net - g.inputs);
    }

    // What reads a constant, a buffer or an inverter reads what is behind it. An output that is constant or inverted stays.
    void bypass(int lut) {
        Lut gone = g.luts[static_cast<size_t>(lut)];
        int net = g.net(lut);
        for (Lut& reader : g.luts) {
            auto found = std::find(reader.in.begin(), reader.in.end(), net);
            if (found == reader.in.end()) continue;
            auto place = static_cast<size_t>(found - reader.in.begin());
            size_t inputs = reader.in.size();
            Word low = cofactor(reader.table, inputs, place, 0), high = cofactor(reader.table, inputs, place, 1);
            reader.in.erase(found);
            if (gone.in.empty()) {
                reader.table = gone.table & 1 ? high : low;
                continue;
            }
            // The new input comes last: it chooses between the halves.
            if ((gone.table & 3) == 1) std::swap(low, high);
            auto twice = std::find(reader.in.begin(), reader.in.end(), gone.in[0]);
            if (twice == reader.in.end()) {
                reader.in.push_back(gone.in[0]);
                reader.table = low | high << (1 << (inputs - 1));
                continue;
            }
            Word merged = 0;
            auto slot = static_cast<size_t>(twice - reader.in.begin());
            for (int a = 0; a < 1 << (inputs - 1); a++) merged |= ((a >> slot & 1 ? high : low) >> a & 1) << a;
            reader.table = merged;
        }
        if (gone.in.size() == 1 && (gone.table & 3) == 2)
            for (int& output : g.outputs)
                if (output == net) output = gone.in[0];
    }
};

int main(int count, char** argument) {
    try {
        if (count != 4) throw std::runtime_error("usage: lut_search DOMAIN SEED STEPS < network > network");
        Domain domain = Domain::load(argument[1]);
        source.seed(std::strtoull(argument[2], nullptr, 10));
        Network g;
        size_t luts = 0, outputs = 0;
        std::cin >> g.inputs >> luts >> outputs;
        g.luts.resize(luts);
        for (Lut& lut : g.luts) {
            size_t inputs = 0;
            std::cin >> inputs;
            lut.in.resize(inputs);
            for (int& net : lut.in) std::cin >> net;
            std::cin >> std::hex >> lut.table >> std::dec;
        }
        g.outputs.resize(outputs);
        for (int& net : g.outputs) std::cin >> net;
        if (!std::cin || g.inputs != static_cast<int>(domain.inputs.size())) throw std::runtime_error("cannot read the network");
        g = Search(std::move(g), domain).run(std::strtol(argument[3], nullptr, 10));
        std::cout << g.inputs << ' ' << g.luts.size() << ' ' << g.outputs.size() << '\n';
        for (const Lut& lut : g.luts) {
            std::cout << lut.in.size();
            for (int net : lut.in) std::cout << ' ' << net;
            std::cout << ' ' << std::hex << lut.table << std::dec << '\n';
        }
        for (int net : g.outputs) std::cout << net << ' ';
        std::cout << '\n';
        return 0;
    } catch (const std::exception& problem) {
        std::cerr << "lut_search: " << problem.what() << '\n';
        return 1;
    }
}
