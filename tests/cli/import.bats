#!/usr/bin/env bats
# 'unroll import' of what people have: their names, their number types, models without biases; the numbers of 'score' are those of
# the model that the tensors were taken from. The files are made by tests/cli/weights.py, which shares nothing with the program.

bats_require_minimum_version 1.5.0
load refusal
load training
load weights

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_corpus char 200
    for cell in lstm gru; do
        "$UNROLL" train --corpus char.h5 --run run-$cell --cell $cell --layers 2 --hidden 12 --embedding 7 --batch 6 --bptt 9 \
            --max-steps 20 --lr 0.02
        cp run-$cell/best.h5 $cell.h5
    done
    "$UNROLL" train --corpus char.h5 --run run-equal --layers 1 --hidden 8 --batch 6 --bptt 9 --max-steps 1
    cp run-equal/best.h5 equal.h5
    head -n 5 char.txt >lines
    for cell in lstm gru; do
        "$UNROLL" score --model $cell.h5 lines >$cell.scores
    done
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# refused STATUS TEXT ARGUMENT...: of an import.
refused() {
    writes_nothing "$1" "$2" "$UNROLL" import "${@:3}" --vocab-from char.h5
}

# refused_changed TEXT MODEL CHANGE [OPTION...]: the same of MODEL.h5's tensors, changed, with 65.
refused_changed() {
    weights make other.safetensors "$2.h5" "$3"
    refused 65 "$1" other.safetensors "${@:4}"
}

# unbroken: what was printed, in one line.
unbroken() {
    echo "$output" | tr -s ' \n' ' '
}

# taken NOTE MODEL CHANGE [OPTION...]: of MODEL.h5's tensors, changed, import makes a model with the scores of MODEL, and says NOTE;
# from safetensors and from HDF5.
taken() {
    local note=$1 model=$2 change=$3
    shift 3
    weights make other.safetensors $model.h5 "$change"
    weights make-hdf5 other.h5 $model.h5 "$change"
    for file in other.safetensors other.h5; do
        from=hdf5
        [ $file = other.h5 ] || from=safetensors
        run -0 --separate-stderr "$UNROLL" import --from $from $file --vocab-from char.h5 "$@" -o again.h5
        echo "$output$stderr"
        [[ "$(unbroken)" == *"$note"* ]]
        run ! grep -E '^(note:|     ).{75}' <<<"$output"
        "$UNROLL" score --model again.h5 lines | cmp - $model.scores
    done
}

# near TOLERANCE: again.h5 scores as lstm.h5 does, but for rounding.
near() {
    "$UNROLL" score --model again.h5 lines | paste - lstm.scores |
        awk -v tolerance="$1" '{ d = ($1 - $2) / $2; if (d > tolerance || d < -tolerance) bad = 1 } END { exit bad || NR != 5 }'
}

@test "names that others have are known" {
    taken "note: names: 'module.rnn.' is 'rnn.', 'module.encoder.' is 'encoder.', 'module.decoder.' is 'decoder.'" lstm \
        'for name in list(tensors): tensors["module." + name] = tensors.pop(name)'
    taken "'lstm.' is 'rnn.', 'embedding.' is 'encoder.', 'fc.' is 'decoder.'" lstm \
        'for name in list(tensors): tensors[name.replace("rnn.", "lstm.").replace("encoder", "embedding").replace("decoder", "fc")] = tensors.pop(name)'
    taken "'_orig_mod.model.gru.' is 'rnn.', '_orig_mod.model.embed.' is 'encoder.', '_orig_mod.model.linear.' is 'decoder.'" gru \
        'for name in list(tensors): tensors["_orig_mod.model." + name.replace("rnn.", "gru.").replace("encoder", "embed").replace("decoder", "linear")] = tensors.pop(name)'
    # the recurrent layers may be called as we call the embedding
    taken "'encoder.' is 'rnn.', 'emb.' is 'encoder.'" gru \
        'for name in list(tensors): tensors[name.replace("encoder", "emb").replace("rnn.", "encoder.")] = tensors.pop(name)'
    weights make plain.safetensors lstm.h5
    run -0 "$UNROLL" import plain.safetensors --vocab-from char.h5 --batch 6 -o again.h5
    [ "${#lines[@]}" -eq 1 ]
}

@test "layers that are modules of their own, and cells" {
    taken "'lstm1.' is layer 0 of 'rnn.', 'lstm2.' is layer 1 of 'rnn.'" lstm \
        'for name in [n for n in tensors if n[:3] == "rnn"]: tensors["lstm%d." % (int(name[-1]) + 1) + name[4:-1] + "0"] = tensors.pop(name)'
    taken "'net.cells.0.' is layer 0 of 'rnn.', 'net.cells.1.' is layer 1 of 'rnn.'" gru \
        'for name in [n for n in tensors if n[:3] == "rnn"]: tensors["net.cells.%s." % name[-1] + name[4:-3]] = tensors.pop(name)'
    weights make other.safetensors gru.h5 \
        'for name in [n for n in tensors if n[:3] == "rnn"]: tensors["ab"[int(name[-1])] + "." + name[4:-1] + "0"] = tensors.pop(name)'
    refused 65 "is of one of several recurrent modules; say which layer each is" other.safetensors
    "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5 --rename a.=rnn. \
        --rename b.weight_ih_l0=rnn.weight_ih_l1 --rename b.weight_hh_l0=rnn.weight_hh_l1 \
        --rename b.bias_ih_l0=rnn.bias_ih_l1 --rename b.bias_hh_l0=rnn.bias_hh_l1
    "$UNROLL" score --model again.h5 lines | cmp - gru.scores
}

@test "--rename tells the rest, by beginnings and whole names" {
    change='for name in list(tensors): tensors[name.replace("rnn.", "x.y.").replace("encoder.weight", "table").replace("decoder.weight", "W").replace("decoder.bias", "b")] = tensors.pop(name)'
    taken "'x.y.' is 'rnn.'" lstm "$change" --rename table=encoder.weight --rename W=decoder.weight --rename=b=decoder.bias
    refused 65 "'encoder.weight', the embedding, is not there as a matrix; if it is called otherwise, write '--rename NAME=encoder.weight'; of its width are 'table' [" \
        other.safetensors
    refused 65 "'decoder.weight', the output layer, is not there; if it is called otherwise, write '--rename NAME=decoder.weight'; of its width are 'W' [" \
        other.safetensors --rename table=encoder.weight
    refused 65 "'b' is no parameter of such a model; '--rename b=' leaves one out" other.safetensors \
        --rename table=encoder.weight --rename W=decoder.weight
    refused 65 "'--rename nothing=rnn.' is about none of its 11 tensors: " other.safetensors --rename nothing=rnn.
    refused 64 "bad value 'table' for '--rename': write FROM=TO" other.safetensors --rename table
    refused 64 "bad value '=x' for '--rename'" other.safetensors --rename =x
    refused 65 "both 'W' and 'table' would be 'encoder.weight'" other.safetensors --rename table=encoder.weight --rename W=encoder.weight
    # an output layer of an unknown name
    refused_changed "of its width are 'last.weight' [" lstm \
        'for name in ("weight", "bias"): tensors["last." + name] = tensors.pop("decoder." + name)'
    refused_changed "'--rename last.=decoder.' if that is the output layer" equal \
        'for name in ("weight", "bias"): tensors["last." + name] = tensors.pop("decoder." + name)'
    refused_changed "both 'fc.' and 'linear.' may be what Unroll calls 'decoder.'; say which by '--rename fc.=decoder.'" lstm \
        'tensors["fc.weight"] = tensors.pop("decoder.weight"); tensors["linear.bias"] = tensors.pop("decoder.bias")'
    # what a model does not need is left out only when told to
    taken "note: left out, as --rename says: 'steps'" lstm 'tensors["steps"] = numpy.zeros(3, "i8")' --rename steps=
    refused 65 "'steps' is no parameter of such a model" other.safetensors
}

@test "biases that are not there are zeros" {
    zeros='for name in tensors: tensors[name] = tensors[name] * (0 if "bias" in name else 1)'
    weights make zeros.safetensors lstm.h5 "$zeros"
    "$UNROLL" import zeros.safetensors --vocab-from char.h5 -o zeros.h5
    "$UNROLL" score --model zeros.h5 lines >zeros.scores
    weights make other.safetensors lstm.h5 'for name in [n for n in tensors if "bias" in n]: del tensors[name]'
    run -0 "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5
    [[ "$(unbroken)" == *"note: not there, and zeros: 'rnn.bias_ih_l0', 'rnn.bias_hh_l0', 'rnn.bias_ih_l1', 'rnn.bias_hh_l1', 'decoder.bias'"* ]]
    "$UNROLL" score --model again.h5 lines | cmp - zeros.scores
    run ! cmp zeros.scores lstm.scores
}

@test "lanes of eval that no file tells are told" {
    taken "note: lanes of 'eval', as the file tells none: 32; --batch sets the number of training" lstm 'pass'
    weights make other.safetensors lstm.h5 pass
    run -0 "$UNROLL" import other.safetensors --vocab-from char.h5 --batch 5 -o again.h5
    [[ "$(unbroken)" != *"lanes of"* ]]
    run -0 "$UNROLL" import --from hdf5 lstm.h5 --vocab-from char.h5 -o again.h5 # a checkpoint tells them
    [[ "$(unbroken)" != *"lanes of"* ]]
    "$UNROLL" inspect lstm.h5 | grep -E '^  (batch|bptt|lane_groups) ' | head -n 3 >told
    "$UNROLL" inspect again.h5 | grep -E '^  (batch|bptt|lane_groups) ' | head -n 3 | diff - told
}

@test "float16, bfloat16 and float64 become float32" {
    taken "note: converted to float32: 11 of float64" lstm 'for name in tensors: tensors[name] = tensors[name].astype("f8")'
    half='for name in tensors: tensors[name] = tensors[name].astype("f2")'
    weights make other.safetensors lstm.h5 "$half"
    "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5 | grep "converted to float32: 11 of float16"
    near 1e-3
    "$UNROLL" score --model again.h5 lines >half.scores
    weights make-hdf5 other.h5 lstm.h5 "$half"
    "$UNROLL" import --from hdf5 other.h5 --vocab-from char.h5 -o again.h5 | grep "11 of float16"
    "$UNROLL" score --model again.h5 lines | cmp - half.scores
    # the very numbers: half, its subnormals and signs, against NumPy's conversion
    special='tensors["decoder.bias"].flat[:8] = numpy.array([0, 1, 0x3ff, 0x400, 0x8001, 0xfbff, 0x7bff, 0x3c01], "u2").view("f2")'
    weights make wide.safetensors lstm.h5 "$half; $special; [tensors.update({k: v.astype('f4')}) for k, v in tensors.items()]"
    weights make other.safetensors lstm.h5 "$half; $special"
    "$UNROLL" import wide.safetensors --vocab-from char.h5 -o wide.h5
    "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5
    weights make one wide.h5 && weights make two again.h5 && cmp one two
    # bfloat16: the upper half of a float32
    weights make other.safetensors lstm.h5 'for name in tensors: tensors[name] = (tensors[name].view("u4") >> 16).astype("u2")'
    weights make wide.safetensors lstm.h5 'for name in tensors: tensors[name] = (tensors[name].view("u4") >> 16 << 16).view("f4")'
    "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5 | grep "11 of bfloat16"
    "$UNROLL" import wide.safetensors --vocab-from char.h5 -o wide.h5
    weights make one wide.h5 && weights make two again.h5 && cmp one two
    near 1e-2
}

@test "numbers that are none, or do not fit, are refused by name" {
    refused_changed "'fc.bias', which is 'decoder.bias', holds a number that is not finite, or too large for float32" lstm \
        'tensors["fc.bias"] = tensors.pop("decoder.bias").astype("f8") + 1e300; tensors["fc.weight"] = tensors.pop("decoder.weight")'
    weights make-hdf5 other.h5 lstm.h5 'tensors["decoder.bias"] = tensors["decoder.bias"].astype("f8") + 1e300'
    refused 65 "'decoder.bias' holds a number that is not finite, or too large for float32" --from hdf5 other.h5
    refused_changed "'rnn.weight_hh_l0' is I64, but weights are float32, float16, bfloat16 or float64" lstm \
        'tensors["rnn.weight_hh_l0"] = tensors["rnn.weight_hh_l0"].astype("i8")'
    weights make-hdf5 other.h5 lstm.h5 'tensors["rnn.weight_hh_l0"] = tensors["rnn.weight_hh_l0"].astype("i8")'
    refused 65 "'rnn.weight_hh_l0' is int64, but weights are" --from hdf5 other.h5
    refused_changed "'decoder.bias' is more than [1][1] where such a model has [" lstm \
        'tensors["decoder.bias"] = tensors["decoder.bias"].reshape(1, 1, -1)'
    refused_changed "'lstm.weight_ih_l1' is no parameter" lstm \
        'tensors["lstm.weight_ih_l1"] = tensors.pop("rnn.weight_ih_l1")[1:]'
    refused_changed "it has no embedding and seems to read one-hot vectors of" lstm \
        'del tensors["encoder.weight"]; tensors["rnn.weight_ih_l0"] = numpy.zeros((48, len(tensors["decoder.bias"])), "f4")'
    refused_changed "none of its tensors is called weight_hh_l0, as those of nn.RNN, nn.LSTM and nn.GRU are; it has 'dense/kernel' [2][3]" lstm \
        'tensors.clear(); tensors["dense/kernel"] = numpy.zeros((2, 3), "f4")'
}

@test "what the package safetensors writes" {
    for type in f2 f4 f8; do
        status=0
        weights make-real other.safetensors lstm.h5 \
            "for name in list(tensors): tensors['module.' + name] = tensors.pop(name).astype('$type')" || status=$?
        [ "$status" -ne 69 ] || skip "no Python package safetensors"
        [ "$status" -eq 0 ]
        "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5
        near 1e-3
    done
}

@test "a model of PyTorch has the numbers that it has there" {
    PYTHON=$("$BATS_TEST_DIRNAME/../../tools/find-python" torch h5py numpy) || skip "no PyTorch"
    for kind in lstm gru rnn; do
        "$PYTHON" "$BATS_TEST_DIRNAME/weights.py" torch theirs.safetensors char.h5 $kind lines >theirs
        cell=()
        [ $kind != rnn ] || cell=(--cell rnn-tanh)
        run -0 "$UNROLL" import theirs.safetensors --vocab-from char.h5 "${cell[@]}" -o again.h5
        [[ "$(unbroken)" == *"'module.rec.' is 'rnn.', 'module.embedding.' is 'encoder.', 'module.fc.' is 'decoder.'"*"zeros: 'decoder.bias'"* ]]
        "$UNROLL" score --model again.h5 lines | paste - theirs |
            awk '{ d = ($1 - $2) / $2; if (d > 1e-5 || d < -1e-5) bad = 1 } END { exit bad || NR != 5 }'
    done
    refused 65 "it is PyTorch's own format, of torch.save; python3 -c \"import torch" theirs.safetensors.pt
}

@test "types are known before any number is read, whichever tensor it is" {
    for name in encoder.weight decoder.weight encoder.weight+decoder.weight rnn.weight_ih_l0; do
        change="for name in '$name'.split('+'): tensors[name] = tensors[name].astype('i8')"
        weights make other.safetensors equal.h5 "$change"
        refused 65 "'${name%+*}' is I64, but weights are float32, float16, bfloat16 or float64" other.safetensors
        weights make-hdf5 other.h5 equal.h5 "$change"
        refused 65 "'${name%+*}' is int64, but weights are" --from hdf5 other.h5
        refused 65 "'${name%+*}' is int64, but weights are" --from hdf5 other.h5 --no-tied
    done
}

@test "numbers of the other order of bytes are read, and HDF5's old format can be copied as its refusal says" {
    for type in '>f4' '>f8' '>f2'; do
        weights make-hdf5 other.h5 lstm.h5 "for name in tensors: tensors[name] = tensors[name].astype('$type')"
        "$UNROLL" import --from hdf5 other.h5 --vocab-from char.h5 -o again.h5
        if [ "$type" = '>f2' ]; then
            near 1e-3
        else
            "$UNROLL" score --model again.h5 lines | cmp - lstm.scores
        fi
    done
    weights make-hdf5 other.h5 lstm.h5 "for name in tensors: tensors[name] = tensors[name].astype('>i8')"
    refused 65 "'encoder.weight' is int64, but weights are" --from hdf5 other.h5
    LIBVER=earliest weights make-hdf5 old.h5 lstm.h5
    refused 65 "h5py.File(name, 'w', libver='v108'), or copy its numbers: python3 -c " --from hdf5 old.h5
    command=${stderr#*copy its numbers: }
    rm -f new.h5
    eval "$command"
    "$UNROLL" import --from hdf5 new.h5 --vocab-from char.h5 -o again.h5
    "$UNROLL" score --model again.h5 lines | cmp - lstm.scores
    "$UNROLL" import --help | tr -s ' \n' ' ' | grep -F "h5py.File(name, 'w', libver='v108')"
}

@test "what is said of a model that is not what its names say" {
    weights make other.safetensors gru.h5 'for name in list(tensors): tensors[name.replace("rnn.", "lstm.")] = tensors.pop(name)'
    "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5 |
        grep -x "note: cell: gru by the 3 gates of a unit, though called 'lstm.weight_hh_l0'"
    "$UNROLL" import other.safetensors --cell gru --vocab-from char.h5 -o again.h5 >told
    run ! grep "though called" told
    weights make other.safetensors lstm.h5 'for name in list(tensors): tensors[name.replace("rnn.", "gru.")] = tensors.pop(name)'
    "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5 |
        grep -x "note: cell: lstm by the 4 gates of a unit, though called 'gru.weight_hh_l0'"
    weights make other.safetensors equal.h5 'del tensors["decoder.weight"]'
    run -0 "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5
    [[ "$(unbroken)" == *"note: not there, and tied to the embedding: 'decoder.weight'"* ]]
    weights make other.safetensors lstm.h5
    "$UNROLL" import other.safetensors --rename rnn.= --vocab-from char.h5 -o again.h5 |
        grep -x "note: names: those without a module are of 'rnn.'"
    refused_changed "too large for float32, at [2][5]; look where it comes from" lstm \
        'tensors["decoder.weight"] = tensors["decoder.weight"].astype("f8"); tensors["decoder.weight"][2, 5] = 1e300'
}

@test "names in messages move no cursor" {
    hostile=$'x\033[31m\n\302\233\177\tü☃.'
    shown='x\x1b[31m\x0a\xc2\x9b\x7f\x09ü☃.'
    python='x\x1b[31m\x0a\x9b\x7f\x09ü☃.'
    refused_changed "'${shown}y' is no parameter" lstm \
        "tensors['${python}y'] = tensors['decoder.bias']"
    weights make other.safetensors lstm.h5 "for name in list(tensors): tensors[name.replace('rnn.', '$python')] = tensors.pop(name)"
    run -0 "$UNROLL" import other.safetensors --vocab-from char.h5 -o again.h5
    [ "${lines[1]}" = "note: names: '$shown' is 'rnn.'" ]
    refused 66 "'$shown'" "$hostile"
    refused 66 "'none\x0a\xff'" $'none\n\377'
}
