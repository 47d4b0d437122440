/* The digests that `unroll selftest` expects. 'unroll selftest --print' makes them, anew for each arithmetic revision.
 */
/* clang-format off */
static const struct {
    const char *name, *hex;
} selftest_digests[] = {
    {"exp", "6950b69171e1c541f7c1227f5d58ceee"},
    {"sigmoid", "35742ada0cd6853840737eebf2649294"},
    {"tanh", "65ae1b5cd2ec68a8a3b01bb033c25b9e"},
    {"double precision", "d364e637952de08aeef12d27b955497c"},
    {"schedules", "43b73537f982456c3a13a82a1f3460ad"},
    {"rnn-tanh", "54a6af04a3e68c028075597342a1a619"},
    {"rnn-tanh, tied", "89010c1bc86b09a6112e8b3c476dbaf7"},
    {"rnn-tanh, classify", "aea7d5923ef1a367a2001b3c89afe509"},
    {"rnn-relu", "43a60e96b72aac0a595336664c7c2d4b"},
    {"rnn-relu, tied", "47cdc3d66ce8979dd13c88831e2ff8d1"},
    {"rnn-relu, classify", "e630b6043c37a731dadfd1ebfd7c5501"},
    {"lstm", "9fa845f076f9a9b78490dc17da66ff44"},
    {"lstm, tied", "40f3b3eb56eee5fab1211d1ccc0e3c8b"},
    {"lstm, classify", "d3c222048fa8297c0640c02fca1be0ec"},
    {"gru", "9305910ff93f8c3059c7c184de375eba"},
    {"gru, tied", "48c69702da59c97c5788f0f20aa8a746"},
    {"gru, classify", "e688ab6d1922977c238d6d22ed4aeb0d"},
    {"mingru", "1243bab53fbe9d42cdd57c01696367dd"},
    {"mingru, tied", "9755bdff613214179f4e08093bda37d7"},
    {"mingru, classify", "3d02cc085c8c06500abce86c3f539d2a"},
    {"sgd", "9a6b5f3fde8fe5c8441e0d40d9483e3f"},
    {"momentum", "9758e45f0fdf7dd480d60ea5b459ebca"},
    {"adagrad", "268b418018ab98eafd64d62b4f460854"},
    {"rmsprop", "7fa5c8301e86374e371a36247b06be06"},
    {"adam", "4b83722408082b9be9f3378b22535d32"},
    {"adamw", "d6337f31fd0b7902453bd481ba5a4135"},
    {"wide", "322f6b51ba16ecf39e00396ce640aef9"},
    {"long", "930a0c5ab2dd1f3a74e68ece8cfc5296"},
    {"many tokens", "714c1cef498f6ea4ed2477724e9852ce"},
    {"uniform", "dd5b891e68436585d92a6df01fed2bff"},
    {"orthogonal", "451fbc9fa57297d7ef3361867c7778f6"},
    {"scaled identity", "0c39ba43bfd041d2b0f5fc89a204b941"},
};
