/* The yardstick of `tools/compare-pytorch --onednn`: one LSTM layer, forward and backward over a window, by oneDNN's
 * primitives. Input and hidden width are both H; gradients of input, weights and bias are computed. Weights are brought into
 * the primitives' own layouts in every window, as training must, since it changes them after every window; their gradients
 * stay in the layout in which they are found.
 *
 * With `bf16` input, output, states h and weights are bfloat16; the states c, the bias and all gradients stay float32, as
 * oneDNN has it. Bringing weights into their layout then rounds them, too.
 *
 *     onednn_lstm H BATCH BPTT SECONDS float32|bf16        threads by OMP_NUM_THREADS
 *
 * Prints milliseconds for each window: the median of repetitions. */
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <dnnl.hpp>

#if DNNL_VERSION_MAJOR != 2
#error "written for oneDNN 2: version 3 makes primitives in another way"
#endif

using dnnl::memory;
using tag = memory::format_tag;

namespace
{

using type = memory::data_type;

/* Memory of that layout, filled with small numbers. */
memory make(const memory::desc &desc, const dnnl::engine &engine)
{
    memory made(desc, engine);
    char *place = static_cast<char *>(made.get_data_handle());
    const bool half = desc.data.data_type == dnnl_bf16;
    const size_t size = half ? sizeof(uint16_t) : sizeof(float);
    for (size_t i = 0; i < desc.get_size() / size; i++) {
        const float value = (static_cast<float>(i * 7919 % 1000) / 1000 - 0.5f) * 0.1f;
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        const uint16_t upper = static_cast<uint16_t>(bits >> 16);
        std::memcpy(place + i * size, half ? static_cast<const void *>(&upper) : &value, size);
    }
    return made;
}

double seconds_now()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace

int main(int argc, char **argv)
{
    const std::string precision = argc == 6 ? argv[5] : "";
    if (precision != "float32" && precision != "bf16") {
        std::fprintf(stderr, "usage: onednn_lstm H BATCH BPTT SECONDS float32|bf16\n");
        return 64;
    }
    const memory::dim H = std::atoi(argv[1]), B = std::atoi(argv[2]), T = std::atoi(argv[3]);
    const double wanted = std::atof(argv[4]);
    if (H < 1 || B < 1 || T < 1 || !(wanted > 0)) {
        std::fprintf(stderr, "onednn_lstm: all sizes must be positive\n");
        return 64;
    }
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    dnnl::stream stream(engine);
    const type stored = precision == "bf16" ? type::bf16 : type::f32;
    const memory::dims all_rows = {T, B, H}, one_row = {1, 1, B, H}, matrix = {1, 1, H, 4, H};
    const memory::desc rows(all_rows, stored, tag::tnc), h_state(one_row, stored, tag::ldnc),
        c_state(one_row, type::f32, tag::ldnc), weights(matrix, stored, tag::any);
    const memory::desc bias({1, 1, 4, H}, type::f32, tag::ldgo);
    /* gradients */
    const memory::desc d_rows(all_rows, type::f32, tag::tnc), d_state(one_row, type::f32, tag::ldnc),
        d_weights(matrix, type::f32, tag::any);
    const auto direction = dnnl::rnn_direction::unidirectional_left2right;

    const dnnl::lstm_forward::primitive_desc forward({dnnl::prop_kind::forward_training, direction, rows, h_state,
                                                      c_state, weights, weights, bias, rows, h_state, c_state},
                                                     engine);
    const dnnl::lstm_backward::primitive_desc backward(
        {dnnl::prop_kind::backward, direction, rows, h_state, c_state, weights, weights, bias, rows, h_state, c_state,
         d_rows, d_state, d_state, d_weights, d_weights, bias, d_rows, d_state, d_state},
        engine, forward);

    const memory workspace = make(forward.workspace_desc(), engine);
    const memory b = make(bias, engine), x = make(rows, engine), y = make(rows, engine);
    const memory h0 = make(h_state, engine), c0 = make(c_state, engine), h = make(h_state, engine),
                 c = make(c_state, engine);
    /* weights as a user has them, gate by gate as in PyTorch, and what brings them into the layout `desc` */
    memory plain = make({matrix, type::f32, tag::ldgoi}, engine);
    std::vector<std::pair<dnnl::reorder, memory>> packing;
    auto packed = [&](const memory::desc &desc) {
        const memory target(desc, engine);
        packing.emplace_back(dnnl::reorder(plain, target), target);
        return target;
    };
    std::unordered_map<int, memory> forward_arguments = {
        {DNNL_ARG_SRC_LAYER, x},
        {DNNL_ARG_SRC_ITER, h0},
        {DNNL_ARG_SRC_ITER_C, c0},
        {DNNL_ARG_WEIGHTS_LAYER, packed(forward.weights_layer_desc())},
        {DNNL_ARG_WEIGHTS_ITER, packed(forward.weights_iter_desc())},
        {DNNL_ARG_BIAS, b},
        {DNNL_ARG_DST_LAYER, y},
        {DNNL_ARG_DST_ITER, h},
        {DNNL_ARG_DST_ITER_C, c},
        {DNNL_ARG_WORKSPACE, workspace},
    };
    std::unordered_map<int, memory> backward_arguments = forward_arguments;
    backward_arguments[DNNL_ARG_WEIGHTS_LAYER] = packed(backward.weights_layer_desc());
    backward_arguments[DNNL_ARG_WEIGHTS_ITER] = packed(backward.weights_iter_desc());
    for (int argument : {DNNL_ARG_DIFF_SRC_LAYER, DNNL_ARG_DIFF_DST_LAYER})
        backward_arguments[argument] = make(d_rows, engine);
    for (int argument :
         {DNNL_ARG_DIFF_SRC_ITER, DNNL_ARG_DIFF_SRC_ITER_C, DNNL_ARG_DIFF_DST_ITER, DNNL_ARG_DIFF_DST_ITER_C})
        backward_arguments[argument] = make(d_state, engine);
    backward_arguments[DNNL_ARG_DIFF_WEIGHTS_LAYER] = make(backward.diff_weights_layer_desc(), engine);
    backward_arguments[DNNL_ARG_DIFF_WEIGHTS_ITER] = make(backward.diff_weights_iter_desc(), engine);
    backward_arguments[DNNL_ARG_DIFF_BIAS] = make(backward.diff_bias_desc(), engine);

    const dnnl::lstm_forward run_forward(forward);
    const dnnl::lstm_backward run_backward(backward);
    auto time = [&](int windows) {
        const double begin = seconds_now();
        for (int i = 0; i < windows; i++) {
            for (auto &[reorder, target] : packing)
                reorder.execute(stream, plain, target);
            run_forward.execute(stream, forward_arguments);
            run_backward.execute(stream, backward_arguments);
        }
        stream.wait();
        return (seconds_now() - begin) / windows;
    };
    time(1);
    const double once = time(1);
    const int repetitions = once > wanted ? 3 : 5, windows = std::max(1, static_cast<int>(wanted / repetitions / once));
    std::vector<double> times;
    for (int i = 0; i < repetitions; i++)
        times.push_back(time(windows));
    std::sort(times.begin(), times.end());
    std::printf("%.6f\n", 1000 * times[repetitions / 2]);
    return 0;
}
