"""Unroll's models in PyTorch: a checkpoint as nn.Embedding, nn.LSTM (nn.GRU, nn.RNN, MinGRU; one module a layer where
layers differ in width, or of a cell that PyTorch lacks, QRNN, SRU or Mogrifier) and nn.Linear (of an adaptive softmax
nn.AdaptiveLogSoftmaxWithLoss), and back.

    import torch, unroll_torch
    model = unroll_torch.load("runs/book/best.h5")
    tokens = torch.tensor(model.encode("And God said")).unsqueeze(1)  # [T][lanes]
    logits, state = model(tokens)                                      # [T][lanes][V]
    print(model.tokens[logits[-1, 0].argmax()])

`unroll_torch.save(model, "weights.h5")` writes what `unroll import --from hdf5 weights.h5 --vocab-from ...` reads. Needs
h5py and torch, for texts of grapheme clusters the module regex; nothing of Unroll.
"""
import os
import unicodedata

import h5py
import torch
from torch import nn



class MinGRU(nn.Module):
    """The minimal gated cell, which PyTorch lacks, called as nn.GRU is: z = sigmoid(W_z x + b_z), g = W_h x + b_h,
    h_t = (1 - z) h_(t-1) + z g. weight_ih_l0 [2H][E] and bias_ih_l0 [2H] hold z's rows, then g's; nothing multiplies h."""

    def __init__(self, inputs, hidden, num_layers=1, dropout=0.0):
        super().__init__()
        self.hidden, self.num_layers, self.drop = hidden, num_layers, nn.Dropout(dropout)
        for layer in range(num_layers):
            for name, shape in (("weight", (2 * hidden, hidden if layer else inputs)), ("bias", (2 * hidden,))):
                value = nn.Parameter(torch.empty(shape).uniform_(-hidden ** -0.5, hidden ** -0.5))
                self.register_parameter(f"{name}_ih_l{layer}", value)

    def forward(self, inputs, state=None):
        """Outputs [T][lanes][H] and the state [layers][lanes][H] of inputs [T][lanes][E]."""
        last = []
        for layer in range(self.num_layers):
            weight, bias = getattr(self, f"weight_ih_l{layer}"), getattr(self, f"bias_ih_l{layer}")
            rows = nn.functional.linear(self.drop(inputs) if layer else inputs, weight, bias)
            h = inputs.new_zeros(inputs.shape[1], self.hidden) if state is None else state[layer]
            outputs = []
            for row in rows:
                z, g = torch.sigmoid(row[:, :self.hidden]), row[:, self.hidden:]
                h = (1 - z) * h + z * g
                outputs.append(h)
            inputs = torch.stack(outputs)
            last.append(h)
        return inputs, torch.stack(last)


class QRNN(nn.Module):
    """One layer of the quasi-recurrent cell with fo-pooling: z = tanh(W_z x_t + V_z x_(t-1) + b_z), f and o likewise with a
    sigmoid, c_t = f c_(t-1) + (1 - f) z, h_t = o c_t. weight_ih_l0 holds the rows of W_z, W_f, W_o and, where `window` is 2,
    those of V_z, V_f, V_o; bias_ih_l0 has 3H numbers."""

    def __init__(self, inputs, hidden, window=1):
        super().__init__()
        self.hidden, self.window, bound = hidden, window, hidden ** -0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * window * hidden, inputs).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.empty(3 * hidden).uniform_(-bound, bound))

    def forward(self, inputs, state=None):
        """Outputs [T][lanes][H] and the state: c [lanes][H], and what V made of the last input, [lanes][3H]."""
        rows = nn.functional.linear(inputs, self.weight_ih_l0)
        if state is None:
            state = inputs.new_zeros(inputs.shape[1], self.hidden), inputs.new_zeros(inputs.shape[1], 3 * self.hidden)
        (c, before), outputs = state, []
        for row in rows:
            gates = row[:, :3 * self.hidden] + self.bias_ih_l0
            if self.window == 2:
                gates, before = gates + before, row[:, 3 * self.hidden:]
            z, f, o = gates.chunk(3, 1)
            f = torch.sigmoid(f)
            c = f * c + (1 - f) * torch.tanh(z)
            outputs.append(torch.sigmoid(o) * c)
        return torch.stack(outputs), (c, before)


class SRU(nn.Module):
    """One layer of the simple recurrent unit: f = sigmoid(W_f x_t + b_f + v_f c_(t-1)), r likewise,
    c_t = f c_(t-1) + (1 - f) (W_x x_t + b_x), h_t = r c_t + (1 - r) (W_w x_t + b_w). weight_ih_l0 and bias_ih_l0 hold the
    rows of x, f, r, w; weight_c_l0 holds v_f and v_r."""

    def __init__(self, inputs, hidden):
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden, inputs).uniform_(-hidden ** -0.5, hidden ** -0.5))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden))
        self.weight_c_l0 = nn.Parameter(torch.empty(2 * hidden).uniform_(-1.5 ** 0.5, 1.5 ** 0.5))

    def forward(self, inputs, state=None):
        """Outputs [T][lanes][H] and the state c [lanes][H]."""
        v_f, v_r = self.weight_c_l0.chunk(2)
        c, outputs = inputs.new_zeros(inputs.shape[1], len(v_f)) if state is None else state, []
        for row in nn.functional.linear(inputs, self.weight_ih_l0, self.bias_ih_l0):
            x, f, r, w = row.chunk(4, 1)
            f, r = torch.sigmoid(f + v_f * c), torch.sigmoid(r + v_r * c)
            c = f * c + (1 - f) * x
            outputs.append(r * c + (1 - r) * w)
        return torch.stack(outputs), c


class Mogrifier(nn.Module):
    """One layer of a Mogrifier LSTM: before each step of the LSTM, x and h gate one another, x = 2 sigmoid(Q1 h) x,
    h = 2 sigmoid(R2 x) h, x = 2 sigmoid(Q3 h) x, and so on for so many rounds. mogrify_q1_l0 is Q1 [E][H], or of a rank
    mogrify_q1_left_l0 [E][rank] times mogrify_q1_right_l0 [rank][H]; all else is as in nn.LSTM."""

    def __init__(self, inputs, hidden, rounds=5, rank=0):
        super().__init__()
        self.hidden, self.rounds = hidden, rounds
        shapes = {"weight_ih_l0": (4 * hidden, inputs), "weight_hh_l0": (4 * hidden, hidden),
                  "bias_ih_l0": (4 * hidden,), "bias_hh_l0": (4 * hidden,)}
        for i in range(1, rounds + 1):
            name, (gated, by) = self.name(i), (inputs, hidden) if i % 2 else (hidden, inputs)
            shapes.update({f"{name}_left_l0": (gated, rank), f"{name}_right_l0": (rank, by)} if rank else
                          {f"{name}_l0": (gated, by)})
        for name, shape in shapes.items():
            bound = (shape[1] if name.startswith("mogrify") else hidden) ** -0.5
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    @staticmethod
    def name(i):
        return f"mogrify_{'q' if i % 2 else 'r'}{i}"

    def gate(self, i, by):
        name = self.name(i)
        if hasattr(self, f"{name}_l0"):
            return 2 * torch.sigmoid(nn.functional.linear(by, getattr(self, f"{name}_l0")))
        narrow = nn.functional.linear(by, getattr(self, f"{name}_right_l0"))
        return 2 * torch.sigmoid(nn.functional.linear(narrow, getattr(self, f"{name}_left_l0")))

    def forward(self, inputs, state=None):
        """Outputs [T][lanes][H] and the state, h and c [lanes][H] each."""
        if state is None:
            state = inputs.new_zeros(inputs.shape[1], self.hidden), inputs.new_zeros(inputs.shape[1], self.hidden)
        (h, c), outputs = state, []
        for x in inputs:
            for i in range(1, self.rounds + 1):
                if i % 2:
                    x = self.gate(i, h) * x
                else:
                    h = self.gate(i, x) * h
            gates = (nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0) +
                     nn.functional.linear(h, self.weight_hh_l0, self.bias_hh_l0))
            i, f, g, o = gates.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), (h, c)


CELLS = {
    "lstm": (nn.LSTM, {}),
    "gru": (nn.GRU, {}),
    "mingru": (MinGRU, {}),
    "qrnn": (QRNN, {}),
    "sru": (SRU, {}),
    "mogrifier": (Mogrifier, {}),
    "rnn-tanh": (nn.RNN, {"nonlinearity": "tanh"}),
    "rnn-relu": (nn.RNN, {"nonlinearity": "relu"}),
}


class Layers(nn.ModuleList):
    """One module a layer, where layers differ in width or PyTorch has no such cell. Called as nn.LSTM is; its state is a
    list of theirs. In state_dict parameters have the names of one module of so many layers: "weight_ih_l1" for
    "1.weight_ih_l0"."""

    def __init__(self, module, inputs, widths, dropout=0.0, **extra):
        super().__init__(module(below, width, **extra) for below, width in zip([inputs, *widths], widths))
        if module is QRNN:
            self[0] = QRNN(inputs, widths[0], window=2, **extra)
        self.between = dropout
        self._register_state_dict_hook(self.name_by_layer)
        self._register_load_state_dict_pre_hook(self.name_by_module)

    @staticmethod
    def name_by_layer(_, named, prefix, *__):
        for name in [name for name in named if name.startswith(prefix)]:
            layer, own = name[len(prefix):].split(".")
            named[f"{prefix}{own[:-1]}{layer}"] = named.pop(name)

    @staticmethod
    def name_by_module(named, prefix, *_):
        for name in [name for name in named if name.startswith(prefix)]:
            own, layer = name[len(prefix):].rsplit("_l", 1)
            named[f"{prefix}{layer}.{own}_l0"] = named.pop(name)

    def forward(self, inputs, state=None):
        states = []
        for layer, module in enumerate(self):
            if layer:
                inputs = nn.functional.dropout(inputs, self.between, self.training)
            inputs, after = module(inputs, None if state is None else state[layer])
            states.append(after)
        return inputs, states


def scaled(state, factor):
    """A state of any module."""
    return type(state)(scaled(part, factor) for part in state) if isinstance(state, (list, tuple)) else state * factor


def text_of(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def numbers(value):
    """Of a list in a file, "1150,1150,400"."""
    return [int(number) for number in text_of(value).split(",") if number]


def graphemes(text):
    """What a reader takes for one character; Python's own library cannot tell."""
    try:
        import regex
    except ImportError as error:
        raise ImportError("a model of --level grapheme needs the module regex to cut texts") from error
    return regex.findall(r"\X", text)


class Model(nn.Module):
    """encoder (nn.Embedding), rnn (nn.LSTM, nn.GRU, nn.RNN or MinGRU, or Layers of these, QRNN, SRU or Mogrifier) and decoder
    (nn.Linear or nn.AdaptiveLogSoftmaxWithLoss), under these names. `hidden` is the width of the top layer, `widths` those of all where
    they differ. `dropout` is one probability, or three, before, between and after the layers; whatever --dropout-kind was,
    units are dropped anew at each time step, and nothing else of Unroll's training is here."""

    def __init__(self, cell, vocab, embedding, hidden, layers, tied=False, dropout=0.0, labels=0, pool="last",
                 cutoffs=(), div=4.0, widths=(), mogrify=5, mogrify_rank=0):
        super().__init__()
        module, extra = CELLS[cell]
        self.cell = cell
        before, between, after = dropout if isinstance(dropout, (list, tuple)) else [dropout] * 3
        self.drop_input, self.drop = nn.Dropout(before), nn.Dropout(after)
        self.encoder = nn.Embedding(vocab, embedding)
        if module is Mogrifier:
            extra = {"rounds": mogrify, "rank": mogrify_rank}
        if module in (QRNN, SRU, Mogrifier):
            widths = widths or [hidden] * layers
        self.rnn = (Layers(module, embedding, widths, between, **extra) if widths else
                    module(embedding, hidden, num_layers=layers, dropout=between if layers > 1 else 0.0, **extra))
        self.decoder = (nn.AdaptiveLogSoftmaxWithLoss(hidden, vocab, list(cutoffs), div, head_bias=True) if cutoffs
                        else nn.Linear(hidden, labels or vocab))
        if tied:
            self.decoder.weight = self.encoder.weight
        self.level, self.normalise, self.markers, self.tokens, self.options = "word", "none", "refuse", [], {}
        self.reset_token, self.pool, self.labels = 0, pool if labels else "", []
        self.evaluated = {}  # in how many lanes, and windows of how many steps, 'unroll eval' computes it
        self.output = {}  # what says of which kind the output layer is; a sampled one computes here as a full one
        self.precision = {}  # of a model whose products Unroll computes in bf16: what says so; here they are float32

    def forward(self, tokens, state=None):
        """Logits [T][lanes][V] (of an adaptive softmax log-probabilities) after each of `tokens` [T][lanes], and the state to go on from. Of a classifier the logits
        of whole texts, [lanes][labels]; a text ends with its line end, and those of one batch have the same length."""
        inputs = self.drop_input(self.encoder(tokens))
        outputs, state = self.unroll(tokens, inputs, state) if self.reset_token else self.rnn(inputs, state)
        if self.pool:
            outputs = {"last": outputs[-1], "mean": outputs.mean(0), "max": outputs.max(0).values}[self.pool]
        outputs = self.drop(outputs)
        if isinstance(self.decoder, nn.AdaptiveLogSoftmaxWithLoss):
            return self.log_prob(outputs), state
        return self.decoder(outputs), state

    def log_prob(self, outputs):
        """Log-probabilities of all tokens by an adaptive softmax, which has them in the order of their counts."""
        by_rank = self.decoder.log_prob(outputs.flatten(0, -2)).unflatten(0, outputs.shape[:-1])
        if not hasattr(self.decoder, "order"):
            return by_rank
        return torch.empty_like(by_rank).index_copy(-1, self.decoder.order.long(), by_rank)

    def unroll(self, tokens, inputs, state):
        """Step by step: a model trained with --reset-at eos begins anew before each such token."""
        outputs = []
        for token, step in zip(tokens, inputs.unsqueeze(1)):
            if state is not None:
                keep = (token != self.reset_token).to(step.dtype).unsqueeze(-1)
                state = scaled(state, keep)
            output, state = self.rnn(step, state)
            outputs.append(output)
        return torch.cat(outputs), state

    def encode(self, text):
        """The tokens of a text; what the vocabulary lacks is 0, "<unk>". The words "<s>" and "</s>" are left out or kept as
        'unroll prepare --markers' had it, and refused where the model's own text had none."""
        number = {token: i for i, token in enumerate(self.tokens)}
        if self.normalise == "nfc":
            text = unicodedata.normalize("NFC", text)
        if self.level == "word":
            words = text.split()
            if self.markers == "refuse" and ("<s>" in words or "</s>" in words):
                raise ValueError("the text holds '<s>' or '</s>', but every line end becomes '</s>' by itself")
            if self.markers == "strip":
                text = "\n".join(" ".join(word for word in line.split() if word not in ("<s>", "</s>"))
                                 for line in text.split("\n"))
            pieces = text.replace("\n", " </s> ").split()
        elif self.level == "grapheme":
            pieces = graphemes(text)
        elif self.level == "byte":
            pieces = [bytes([byte]) for byte in text.encode()]
        else:
            pieces = list(text)
        return [number.get(piece, 0) for piece in pieces]


def load(path):
    """The model of a checkpoint, or of a run directory's best.h5, else latest; ready to compute (model.train() turns dropout
    on). Its `tokens` are the vocabulary: texts, or bytes at byte level; its `options` those of the training, as text."""
    if os.path.isdir(path):
        best = os.path.join(path, "best.h5")
        path = best if os.path.exists(best) else os.path.join(path, "latest")
    with h5py.File(path, "r") as file:
        about = file["model"].attrs
        model = Model(text_of(about["cell"]), int(about["vocab"]), int(about["embedding"]), int(about["hidden"]),
                      int(about["layers"]), bool(about["tied"]),
                      [float(about.get(f"dropout_{place}", about["dropout"])) for place in ("input", "hidden", "output")],
                      int(about.get("labels", 0)),
                      text_of(about.get("pool", "last")),
                      numbers(about.get("cutoffs", "")), float(about.get("div", 4.0)), numbers(about.get("widths", "")),
                      int(about.get("mogrify", 0)), int(about.get("mogrify_rank", 0)))
        model.reset_token = int(about.get("reset_token", 0))
        model.precision = {name: text_of(about[name]) for name in ("precision", "bf16_order") if name in about}
        progress = file["progress"].attrs
        model.evaluated = {name: str(int(progress[name])) for name in ("batch", "bptt", "lane_groups")}
        model.output = {name: text_of(about[name]) for name in ("output_layer", "samples", "proposal", "cutoffs", "div")
                        if name in about}
        weights = {name: torch.from_numpy(file["model"][name][()]) for name in file["model"]}
        for name in weights.keys() & {"decoder.order", "decoder.counts"}:  # not trained
            model.decoder.register_buffer(name.split(".")[1], weights[name].clone())
        offsets, text = file["vocab/offsets"][()], file["vocab/bytes"][()].tobytes()
        model.level = text_of(file["vocab"].attrs["level"])
        model.normalise = text_of(file["vocab"].attrs.get("normalise", "none"))
        model.markers = text_of(file["vocab"].attrs.get("markers", "refuse"))
        if model.pool:
            ends, names = file["labels/offsets"][()].tolist(), file["labels/bytes"][()].tobytes()
            model.labels = [names[begin:end].decode() for begin, end in zip(ends[:-1], ends[1:])]
        model.options = {name: text_of(value) for name, value in file["config"].attrs.items() if name != "xxh3_128"}
    model.load_state_dict(weights)
    tokens = [text[begin:end] for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist())]
    model.tokens = tokens if model.level == "byte" else [token.decode() for token in tokens]
    return model.eval()


def save(model, path):
    """Weights for `unroll import --from hdf5`. HDF5's format of 1.8 and later, whose metadata carry checksums."""
    with h5py.File(path, "w", libver="v108") as file:
        for name, value in model.state_dict().items():
            file[name] = value.detach().to("cpu", torch.float32).numpy()
        if isinstance(model, Model):
            facts = {"cell": model.cell, "reset_at": "eos" if model.reset_token else "none", **model.output,
                     **model.precision, **model.evaluated}
            for name, value in facts.items():
                file.attrs.create(name, value, dtype=h5py.string_dtype("utf-8", len(value)))
