#!/usr/bin/env bats
# 'unroll export' and 'unroll import': weights leave and come back as the same bits; what others made is checked.

bats_require_minimum_version 1.5.0

load refusal
load training
load weights

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_corpus char 300
    "$UNROLL" prepare --level word --train char.txt --split 80,10,10 -o word.h5
    "$UNROLL" prepare --level byte --train char.txt --split 80,10,10 -o byte.h5
    for cell in rnn-tanh rnn-relu gru mingru qrnn sru mogrifier lstm; do
        "$UNROLL" train --corpus char.h5 --run "run-$cell" --cell $cell --layers 2 --hidden 12 --embedding 7 --batch 6 \
            --bptt 9 --max-steps 3
        cp "run-$cell/best.h5" "$cell.h5"
    done
    "$UNROLL" train --corpus char.h5 --run run-reset --reset-at eos --layers 1 --hidden 10 --batch 6 --bptt 9 --max-steps 3
    cp run-reset/best.h5 reset.h5
    for level in word byte; do
        "$UNROLL" train --corpus $level.h5 --run run-$level --layers 1 --hidden 10 --tied --batch 6 --bptt 9 --max-steps 3
        cp run-$level/best.h5 $level-tied.h5
    done
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# refused STATUS TEXT COMMAND ARGUMENT...
refused() {
    writes_nothing "$1" "$2" "$UNROLL" "${@:3}"
}

# tell MODEL CORPUS: the parameters, vocabulary, options, losses, scores and a text of a model.
tell() {
    "$UNROLL" inspect "$1" | sed -n '/^model/,/^training/p'
    "$UNROLL" inspect "$1" | grep -E '^  (batch|bptt|lane_groups|corpus_digest|lr|seed) '
    "$UNROLL" eval --model "$1" --corpus "$2"
    head -n 5 char.txt | "$UNROLL" score --per-token --model "$1"
    "$UNROLL" sample --model "$1" --length 50
}

same_model() {
    "$UNROLL" verify "$2"
    tell "$1" "$3" >expected 2>&1
    tell "$2" "$3" >found 2>&1
    [ "$(wc -l <expected)" -gt 30 ]
    cmp expected found
}

@test "safetensors: every tensor leaves as the same bits, and a model comes back as itself" {
    for cell in rnn-tanh rnn-relu gru mingru qrnn sru mogrifier lstm reset; do
        "$UNROLL" export --model $cell.h5 --to safetensors -o $cell.safetensors
        weights same $cell.h5 $cell.safetensors
        "$UNROLL" import --from safetensors $cell.safetensors -o $cell-again.h5
        same_model $cell.h5 $cell-again.h5 char.h5
    done
    for level in word byte; do
        "$UNROLL" export --model $level-tied.h5 -o $level.safetensors
        weights same $level-tied.h5 $level.safetensors
        "$UNROLL" import $level.safetensors -o $level-again.h5
        same_model $level-tied.h5 $level-again.h5 $level.h5
    done
}

@test "the same file whatever the ranks, and again from what was imported" {
    "$UNROLL" export --model lstm.h5 -o one.safetensors
    on 2 "$UNROLL" export --model lstm.h5 -o two.safetensors
    cmp one.safetensors two.safetensors
    on 2 "$UNROLL" import one.safetensors -o again.h5
    "$UNROLL" export --model again.h5 -o three.safetensors
    cmp one.safetensors three.safetensors
}

@test "text: numbers read back as the same bits" {
    for model in gru lstm word-tied byte-tied; do
        "$UNROLL" export --model $model.h5 --to text -o $model.txt
        weights same $model.h5 $model.txt
    done
    grep -qx '# cell gru' gru.txt
    grep -qx 'vocabulary [0-9]* char' gru.txt
    grep -qxP '\\n\t[0-9]+' gru.txt
    grep -qxP '</s>\t[0-9]+' word-tied.txt
}

@test "bytes, tabs and backslashes of a vocabulary survive" {
    printf 'a\tb\\c\x01\xff\xc3\xa4\r\n%.0s' {1..40} >odd.txt
    "$UNROLL" prepare --level byte --train odd.txt --split 50,50 -o odd.h5
    "$UNROLL" train --corpus odd.h5 --run run-odd --layers 1 --hidden 4 --batch 2 --bptt 5 --max-steps 1
    "$UNROLL" export --model run-odd/best.h5 -o odd.safetensors
    "$UNROLL" import odd.safetensors -o odd-again.h5
    same_model run-odd/best.h5 odd-again.h5 odd.h5
    "$UNROLL" export --model run-odd/best.h5 --to text -o odd-weights.txt
    weights same run-odd/best.h5 odd-weights.txt
}

@test "weights of others: shapes tell the model, the vocabulary comes from a corpus, a model or a text" {
    for cell in gru mingru qrnn sru mogrifier lstm; do
        weights make plain.safetensors $cell.h5
        "$UNROLL" import plain.safetensors --vocab-from char.h5 --batch 6 --bptt 9 --dropout 0.2 -o from-corpus.h5
        "$UNROLL" eval --model from-corpus.h5 --corpus char.h5 >found
        "$UNROLL" eval --model $cell.h5 --corpus char.h5 | cmp - found
        weights make-hdf5 plain.h5 $cell.h5
        "$UNROLL" import --from hdf5 plain.h5 --vocab-from gru.h5 -o from-hdf5.h5
        [ "$("$UNROLL" inspect --json from-hdf5.h5 | field parameters_digest)" = \
            "$("$UNROLL" inspect --json $cell.h5 | field parameters_digest)" ]
    done
    "$UNROLL" import --from hdf5 rnn-relu.h5 --vocab-from rnn-relu.h5 -o again.h5 # a checkpoint, too
    [ "$("$UNROLL" inspect --json again.h5 | field cell)" = rnn-relu ]
    "$UNROLL" export --model word-tied.h5 --to text -o word.txt
    sed -n '/^vocabulary/,/^encoder/p' word.txt | sed '1d;$d' | cut -f 1 >tokens
    weights make plain.safetensors word-tied.h5
    "$UNROLL" import plain.safetensors --vocab-from tokens --level word -o from-text.h5
    "$UNROLL" eval --model from-text.h5 --corpus word.h5
    sed 1d tokens >no-unk # which is then put first
    "$UNROLL" import plain.safetensors --vocab-from no-unk --level word -o from-text.h5
    "$UNROLL" eval --model from-text.h5 --corpus word.h5
}

@test "tied: if said so, if the second name is missing, if both are the same" {
    weights make plain.safetensors word-tied.h5
    run -0 "$UNROLL" import plain.safetensors --vocab-from word.h5 -o t.h5
    [[ "$output" == *" tied weights"* ]]
    run -0 "$UNROLL" import plain.safetensors --no-tied --vocab-from word.h5 -o t.h5
    [[ "$output" == *" untied weights"* ]]
    weights make single.safetensors word-tied.h5 'del tensors["decoder.weight"]'
    run -0 "$UNROLL" import single.safetensors --vocab-from word.h5 -o t.h5
    [[ "$output" == *" tied weights"* ]]
    refused 65 "'decoder.weight' is missing" import single.safetensors --no-tied --vocab-from word.h5
    weights make other.safetensors word-tied.h5 'tensors["decoder.weight"] = tensors["decoder.weight"] + 1'
    run -0 "$UNROLL" import other.safetensors --vocab-from word.h5 -o t.h5
    [[ "$output" == *" untied weights"* ]]
    refused 65 "'decoder.weight' differs" import other.safetensors --tied --vocab-from word.h5
    weights make wide.safetensors gru.h5
    refused 65 "--tied" import wide.safetensors --tied --vocab-from char.h5
}

@test "what cannot be inferred is asked for" {
    weights make plain.safetensors rnn-relu.h5
    refused 64 "missing option '--cell'" import plain.safetensors --vocab-from char.h5
    "$UNROLL" import plain.safetensors --cell rnn-relu --vocab-from char.h5 --batch 6 --bptt 9 -o again.h5
    "$UNROLL" eval --model again.h5 --corpus char.h5 >found
    "$UNROLL" eval --model rnn-relu.h5 --corpus char.h5 | cmp - found
    weights make plain.safetensors gru.h5
    refused 64 "missing option '--vocab-from'" import plain.safetensors
    printf '<unk>\na\n' >tokens
    refused 64 "missing option '--level'" import plain.safetensors --vocab-from tokens
}

@test "a classifier takes its labels along" {
    awk '{ print ($1 == "the" ? "one" : $1 == "a" ? "other word" : "third") "\t" $0 }' char.txt >kinds.tsv
    "$UNROLL" prepare --labelled --level word --train kinds.tsv --split 80,20 -o kinds.h5
    for pool in last max; do
        "$UNROLL" train --task classify --pool $pool --corpus kinds.h5 --run run-$pool --hidden 8 --batch 6 --max-steps 20
        cp run-$pool/best.h5 kinds-model.h5
        "$UNROLL" export --model kinds-model.h5 -o kinds.safetensors
        weights same kinds-model.h5 kinds.safetensors
        "$UNROLL" import kinds.safetensors -o kinds-again.h5
        "$UNROLL" verify kinds-again.h5
        for model in kinds-model kinds-again; do
            { "$UNROLL" eval --model $model.h5 --corpus kinds.h5 --split valid
              head -n 20 char.txt | "$UNROLL" classify --all --model $model.h5
              "$UNROLL" inspect $model.h5 | sed -n '/^model/,/^training/p'; } >$model.out
        done
        [ "$(wc -l <kinds-model.out)" -gt 20 ]
        cmp kinds-model.out kinds-again.out
    done
    "$UNROLL" export --model kinds-model.h5 --to text -o kinds.txt
    weights same kinds-model.h5 kinds.txt
    grep -qx 'labels 3' kinds.txt
    grep -qxP 'other word\t[0-9]+' kinds.txt
    weights make plain.safetensors kinds-model.h5
    refused 65 "'decoder.weight' is" import plain.safetensors --vocab-from kinds-model.h5
}

@test "a model that takes each sentence alone goes on doing so" {
    weights make plain.safetensors reset.h5
    "$UNROLL" import plain.safetensors --vocab-from char.h5 --batch 6 --bptt 9 -o without.h5
    "$UNROLL" import plain.safetensors --vocab-from char.h5 --batch 6 --bptt 9 --reset-at eos -o with.h5
    "$UNROLL" eval --model reset.h5 --corpus char.h5 >expected
    "$UNROLL" eval --model with.h5 --corpus char.h5 | cmp expected -
    run ! cmp -s expected <("$UNROLL" eval --model without.h5 --corpus char.h5)
    "$UNROLL" import --from hdf5 reset.h5 --vocab-from char.h5 --batch 6 --bptt 9 -o with.h5 # a checkpoint tells it
    "$UNROLL" eval --model with.h5 --corpus char.h5 | cmp expected -
    "$UNROLL" export --model reset.h5 --to text -o reset.txt
    grep -qx '# reset_at eos' reset.txt
    { echo '<unk>' && printf '%s\n' a b c d e f g h i j k l m n o p q r s t u v; } >letters # as many, without a line end
    refused 65 "--reset-at" import plain.safetensors --vocab-from letters --level char --reset-at eos
}

@test "what does not fit is refused with the tensor's name" {
    weights make plain.safetensors gru.h5
    refused 65 "as lstm" import plain.safetensors --cell lstm --vocab-from char.h5
    refused 65 "rows but the vocabulary" import plain.safetensors --vocab-from word.h5
    refused 66 "'none.h5'" import plain.safetensors --vocab-from none.h5
    refused 66 "'none.safetensors'" import none.safetensors
    refused 66 "'none.h5'" import --from hdf5 none.h5
    refused 65 "'gru.h5'" import --from safetensors gru.h5 --vocab-from char.h5
    refused 65 "'plain.safetensors'" import --from hdf5 plain.safetensors --vocab-from char.h5
    for fault in 'del tensors["encoder.weight"]' 'del tensors["rnn.weight_hh_l0"]' \
        'tensors["rnn.weight_ih_l1_reverse"] = tensors["rnn.weight_ih_l1"]' \
        'tensors["rnn.weight_hh_l2"] = tensors["rnn.weight_hh_l1"]' \
        'tensors["rnn.weight_ih_l1"] = tensors["rnn.weight_ih_l0"]' \
        'tensors["decoder.bias"] = tensors["decoder.bias"][1:]' \
        'tensors["decoder.bias"] = tensors["decoder.bias"].reshape(1, -1)' \
        'tensors["rnn.weight_hh_l0"] = tensors["rnn.weight_hh_l0"][1:]' \
        'tensors["rnn.weight_hh_l0"] = numpy.zeros((2, 1), "f4")' \
        'tensors["decoder.weight"][0, 0] = numpy.inf'; do
        weights make wrong.safetensors gru.h5 "$fault"
        refused 65 "cannot import 'wrong.safetensors': '" import wrong.safetensors --vocab-from char.h5
        weights make-hdf5 wrong.h5 gru.h5 "$fault"
        refused 65 "cannot import 'wrong.h5': '" import --from hdf5 wrong.h5 --vocab-from char.h5
    done
    LIBVER=earliest weights make-hdf5 wrong.h5 gru.h5
    refused 65 "libver='v108'" import --from hdf5 wrong.h5 --vocab-from char.h5
}

@test "files made to harm are refused in little memory" {
    weights hostile "$UNROLL" gru.h5
}

@test "a file appears whole or not at all" {
    refused 66 "'none.h5'" export --model none.h5
    refused 76 "'char.h5'" export --model char.h5
    run -73 "$UNROLL" export --model gru.h5 -o no-folder/out
    mkdir -p folder
    run -73 "$UNROLL" export --model gru.h5 -o folder
    for format in safetensors text; do
        echo old >out
        run -74 --separate-stderr bash -c "trap '' XFSZ; ulimit -f 4; '$UNROLL' export --model gru.h5 --to $format -o out"
        [[ "$stderr" == "unroll: cannot write 'out.tmp': "* ]]
        [ "$(cat out)" = old ] && [ ! -e out.tmp ]
        head -c 100000 /dev/zero >out.tmp # of an export that was killed
        "$UNROLL" export --model gru.h5 --to $format -o out
        [ ! -e out.tmp ]
        weights same gru.h5 out
    done
}

# of_model CHANGE TEXT: safetensors and HDF5 of lstm.h5's tensors, changed, are refused with TEXT.
of_model() {
    weights make other.safetensors lstm.h5 "$1"
    refused 65 "$2" import other.safetensors --vocab-from char.h5
    weights make-hdf5 other.h5 lstm.h5 "$1"
    refused 65 "${3:-$2}" import --from hdf5 other.h5 --vocab-from char.h5
}

@test "models that Unroll has none of are named" {
    of_model 'tensors["rnn.weight_ih_l0_reverse"] = tensors["rnn.weight_ih_l0"]' \
        "'rnn.weight_ih_l0_reverse' is of a bidirectional model; a language model must not see the words to come"
    of_model 'tensors["rnn.weight_hr_l0"] = tensors["rnn.weight_hh_l0"][:6]' "'rnn.weight_hr_l0' is of an LSTM with projections"
    of_model 'tensors["encoder.layers.0.self_attn.in_proj_weight"] = tensors.pop("rnn.weight_ih_l0")' "is of a Transformer"
    of_model 'tensors["rnn.layer_norm.weight"] = tensors["decoder.bias"]' "layer normalisation"
    of_model 'tensors["h.0.attn.bias"] = tensors["rnn.weight_hh_l0"]' "'h.0.attn.bias' is of a Transformer"
    of_model 'tensors["rnn.weight_hh_l0_raw"] = tensors["rnn.weight_hh_l0"]' "weight dropping, such as fastai's AWD-LSTM"
    of_model 'tensors["bn.running_mean"] = tensors["decoder.bias"]' "batch normalisation"
}

@test "weights without weight_hh are minGRU's only where nothing speaks of another cell" {
    weights make plain.safetensors mingru.h5
    "$UNROLL" import plain.safetensors --vocab-from char.h5 -o again.h5
    lost='tensors["rnn.odd"] = tensors.pop("rnn.weight_hh_l0"); del tensors["decoder.weight"]' # an LSTM's, 10 wide
    weights make odd.safetensors reset.h5 "$lost; tensors['encoder.weight'] = numpy.zeros((23, 20), 'f4')" # 40 = 2 x 20
    run -65 "$UNROLL" import odd.safetensors --vocab-from char.h5 -o odd.h5
    [[ "$output" == *"none of its tensors is called weight_hh_l0"* ]]
    weights make odd.safetensors reset.h5 "$lost; del tensors['rnn.odd'], tensors['rnn.bias_hh_l0']"
    run -65 "$UNROLL" import odd.safetensors --vocab-from char.h5 -o odd.h5
    [[ "$output" == *"none of its tensors is called weight_hh_l0"* ]]
    run -65 "$UNROLL" import odd.safetensors --cell mingru --vocab-from char.h5 -o odd.h5
    [[ "$output" == *"as mingru: 'rnn.weight_ih_l0' has not 2 rows for each column of the output layer"* ]]
}
