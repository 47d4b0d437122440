#!/usr/bin/env bats
# Files of other kinds than the one that was wanted are named, with the command that mends it: compressed and converted
# texts, PyTorch's files, models for corpora and corpora for models.

bats_require_minimum_version 1.5.0
load refusal
load training

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=1
    make_text 200 >text.txt
    "$UNROLL" prepare --level word --train text.txt --split 80,10,10 -o corpus.h5
    "$UNROLL" train --corpus corpus.h5 --run run --max-steps 2 --hidden 8 --layers 1 --batch 4 --bptt 16 --threads 1 2>log
    cp run/latest model.h5
    "$UNROLL" export --model model.h5 -o model.safetensors
    "$UNROLL" export --model model.h5 --to text -o weights.txt
    python3 - <<'END'
import bz2, gzip, io, lzma, pickle, zipfile, tarfile
text = open("text.txt", "rb").read()
open("text.gz", "wb").write(gzip.compress(text))
open("text.bz2", "wb").write(bz2.compress(text))
open("text.xz", "wb").write(lzma.compress(text))
open("text.zst", "wb").write(bytes.fromhex("28b52ffd2058c10200") + text[:88]) # one raw block
open("text.lz4", "wb").write(bytes.fromhex("04224d1864404f") + bytes(40))
open("text.Z", "wb").write(bytes.fromhex("1f9d90") + text[:50])
with zipfile.ZipFile("text.zip", "w", zipfile.ZIP_DEFLATED) as f: f.write("text.txt")
with tarfile.open("text.tar", "w") as f: f.add("text.txt")
open("text.pdf", "wb").write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n" + bytes(20))
open("text.7z", "wb").write(b"7z\xbc\xaf\x27\x1c" + bytes(30))
# torch.save of 1.6 and later (its zip's first file), and before; what pickle and NumPy write
with zipfile.ZipFile("new.pt", "w", zipfile.ZIP_STORED) as f: f.writestr("new/data.pkl", pickle.dumps({}, 2))
open("old.pt", "wb").write(pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2))
info = bytearray(b"PK\3\4" + bytes(22) + b"\x0a\0\x18\0" + b"jit/data/0" + b"FB\x14\0" + b"Z" * 20) # of TorchScript
open("jit.pt", "wb").write(info + bytes(100))
open("dict.pkl", "wb").write(pickle.dumps({"weight": list(range(9))}))
open("array.npy", "wb").write(b"\x93NUMPY\x01\0v\0{'descr': '<f4'}" + bytes(99))
for name, coding, bom in (("utf16.txt", "utf-16-le", b"\xff\xfe"), ("utf16be.txt", "utf-16-be", b"\xfe\xff"), ("utf32.txt", "utf-32-le", b"\xff\xfe\0\0"),
                          ("bare16le.txt", "utf-16-le", b""), ("bare16be.txt", "utf-16-be", b""),
                          ("bare32le.txt", "utf-32-le", b""), ("bare32be.txt", "utf-32-be", b"")):
    open(name, "wb").write(bom + text.decode().encode(coding))
open("latin1.txt", "wb").write((text.decode() + "Die schöne Müllerin grüßt\n").encode("latin-1"))
open("cp1252.txt", "wb").write((text.decode() + "“Größe” – das heißt\n").encode("cp1252"))
open("koi8.txt", "wb").write(("Все счастливые семьи похожи друг на друга\n" * 20).encode("koi8-r"))
open("sjis.txt", "wb").write(("吾輩は猫である。名前はまだ無い。\n" * 20).encode("shift-jis"))
open("latin2.txt", "wb").write((text.decode() + "Příliš žluťoučký kůň úpěl ďábelské ódy\n").encode("iso-8859-2"))
open("czech.txt", "wb").write(("Příliš žluťoučký kůň úpěl ďábelské ódy\n" * 9).encode("iso-8859-2"))
open("cp850.txt", "wb").write((text.decode() + "Die schöne Müllerin grüßt\n").encode("cp850"))
open("cut.txt", "wb").write(text + "Die schöne Müllerin grü".encode()[:-1])
open("cafe.txt", "wb").write(b"caf\xc3")
open("unknown.bin", "wb").write(bytes(range(1, 256)) * 3)
open("nul.bin", "wb").write(b"\1\0\xff\xfe\0" * 99)
open("a.png", "wb").write(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(99))
open("a.jpg", "wb").write(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(99))
open("a.elf", "wb").write(b"\x7fELF\2\1\1" + bytes(99))
open("a.db", "wb").write(b"SQLite format 3\0\x10\0" + bytes(99))
open("mixed.txt", "wb").write("Grüße aus Köln, schöne Tür\n".encode() + b"gr\xfc\xdf\n")
open("bom.txt", "wb").write(b"\xef\xbb\xbf" + text)
END
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# refused STATUS TEXT COMMAND ARGUMENT...: status, TEXT in the last line of stderr.
refused() {
    ends_with_error "$1" "$2" "$UNROLL" "${@:3}"
    [ "$(grep -c "^unroll: cannot" <<<"$stderr")" -eq 1 ]
    [ ! -e out.h5 ]
}

@test "compressed texts: prepare unpacks or says what to write, also with --invalid replace, and score and classify a pipe" {
    while read -r file command what; do
        command=${command//_/ }
        case $file in
            *.gz | *.xz | *.zst) # prepare_inputs.bats
                "$UNROLL" prepare --train $file --split 80,10,10 -o packed.h5 >packed.said
                $command >plain
                "$UNROLL" prepare --train plain --split 80,10,10 -o packed.h5 | cmp - packed.said ;;
            *)
                refused 65 "cannot read '$file' as text: $what; unpack it first: '$command >TEXT'" prepare --train $file -o out.h5
                refused 65 "$what" prepare --level word --invalid replace --train text.txt --test $file -o out.h5
                refused 65 "$what" prepare --class a=text.txt b=$file -o out.h5 ;;
        esac
        refused 65 "$what; unpack it on the way: '$command | unroll ...'" score --model model.h5 $file
        on_the_way="on the way: '... | ${command%% *} | unroll ...'"
        case $file in *.zip | *.tar | *.7z | *.pdf) on_the_way=first ;; esac
        refused 65 "cannot read 'standard input' as text: $what; unpack it $on_the_way" score --model model.h5 <$file
        [ $file = text.pdf ] || refused 65 "$what" score --model model.h5 --nbest kaldi $file
    done <<'END'
text.gz zcat_text.gz it is compressed with gzip
text.bz2 bzcat_text.bz2 it is compressed with bzip2
text.xz xzcat_text.xz it is compressed with xz
text.zst zstdcat_text.zst it is compressed with zstd
text.lz4 lz4cat_text.lz4 it is compressed with lz4
text.Z zcat_text.Z it is compressed with compress
text.zip unzip_-p_text.zip it is a zip archive
text.tar tar_-xOf_text.tar it is a tar archive
text.7z 7z_x_-so_text.7z it is a 7z archive
text.pdf pdftotext_-layout_-enc_UTF-8_text.pdf_- it is a PDF document
END
    for command in zcat bzcat xzcat; do # the commands that are named do it
        case $command in zcat) file=text.gz ;; bzcat) file=text.bz2 ;; *) file=text.xz ;; esac
        $command $file | "$UNROLL" score --model model.h5 >found
        "$UNROLL" score --model model.h5 text.txt | cmp - found
    done
    cp text.bz2 'a name.bz2'
    refused 65 "unpack it first: 'bzcat FILE >TEXT'" prepare --train 'a name.bz2' -o out.h5
    on 3 "$UNROLL" prepare --train text.bz2 -o out.h5 2>said || [ $? -eq 65 ]
    [ "$(grep -c "^unroll: cannot read 'text.bz2' as text: it is compressed with bzip2" said)" -eq 1 ]
    "$UNROLL" prepare --level byte --train text.bz2 -o bytes.h5 # bytes are bytes
}

@test "documents of office programs and books are told from archives: what makes plain text of them" {
    python3 - <<'END'
import zipfile
def write(name, *files):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as f:
        for file, text in files: f.writestr(file, text, zipfile.ZIP_STORED if file == "mimetype" else zipfile.ZIP_DEFLATED)
write("a.docx", ("[Content_Types].xml", "<Types/>"), ("word/document.xml", "<w/>"))
write("b.docx", ("_rels/.rels", "<R/>"), ("word/document.xml", "<w/>"))
write("a.odt", ("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", "<x/>"))
write("a.epub", ("mimetype", "application/epub+zip"), ("OEBPS/a.xhtml", "<x/>"))
write("plain.zip", ("a.txt", "Hello\n"), ("word/document.xml", "<w/>"))
END
    for file in a.docx b.docx a.odt; do
        refused 65 "cannot read '$file' as text: it is a document of an office program; save it as plain text, or: 'pandoc -t plain --wrap=none $file >TEXT', 'libreoffice --headless --convert-to txt $file'" \
            prepare --train $file -o out.h5
        [[ "$stderr" != *unzip* ]]
        refused 65 "it is a document of an office program; save it as plain text" train --corpus $file --run run2
        refused 65 "it is a document of an office program" score --model model.h5 <$file
    done
    refused 65 "it is an electronic book, EPUB; save it as plain text, or: 'pandoc -t plain --wrap=none a.epub >TEXT'" prepare --train a.epub -o out.h5
    refused 65 "it is a zip archive; unpack it first: 'unzip -p plain.zip >TEXT'" prepare --train plain.zip -o out.h5
}

@test "texts in other encodings: the one that it looks like, and iconv's command" {
    refused 65 "it begins like UTF-16; convert it first: 'iconv -f UTF-16 -t UTF-8 utf16.txt >TEXT'" prepare --train utf16.txt -o out.h5
    refused 65 "it begins like UTF-16; convert it on the way: 'iconv -f UTF-16 -t UTF-8 utf16be.txt | unroll ...'" score --model model.h5 utf16be.txt
    refused 65 "it begins like UTF-32" prepare --invalid replace --train utf32.txt -o out.h5
    while read -r file text; do
        whole=$(sed "s/with iconv \(.*\)-t UTF-8,/with 'iconv \1-t UTF-8 $file >TEXT',/" <<<"$text")
        refused 65 "$whole" prepare --train $file -o out.h5
        [[ "$stderr" == *"; --invalid replace loses those letters" ]]
        refused 65 "$text" score --model model.h5 $file
        refused 65 "$text" score --model model.h5 <$file
        refused 65 "$text" score --model model.h5 --nbest kaldi <<<"a-1 $(tail -n 1 $file | tr -d '\0')" || [[ $file == bare* ]]
    done <<'END'
bare16le.txt with iconv -f UTF-16LE -t UTF-8, it looks like UTF-16 without a byte order mark
bare16be.txt with iconv -f UTF-16BE -t UTF-8, it looks like UTF-16 without a byte order mark
bare32le.txt with iconv -f UTF-32LE -t UTF-8, it looks like UTF-32 without a byte order mark
bare32be.txt with iconv -f UTF-32BE -t UTF-8, it looks like UTF-32 without a byte order mark
latin1.txt with iconv -f LATIN1 -t UTF-8, it looks like Latin-1
cp1252.txt with iconv -f CP1252 -t UTF-8, it looks like Windows-1252
latin2.txt with iconv, from another 8-bit encoding, such as ISO-8859-2
czech.txt with iconv, from another 8-bit encoding, such as ISO-8859-2
cp850.txt with iconv, from another 8-bit encoding, such as ISO-8859-2, CP1250 or CP850
koi8.txt with iconv, from an encoding of no Latin script, such as
sjis.txt with iconv, from an encoding of no Latin script, such as
END
    refused 65 "invalid byte 0xfc at byte offset 34; it stands in line 2: convert the file with iconv; --invalid replace loses those letters" \
        prepare --train mixed.txt -o out.h5
    for file in latin1:LATIN1 cp1252:CP1252 bare16le:UTF-16LE; do
        iconv -f ${file#*:} -t UTF-8 ${file%:*}.txt >mended.txt
        "$UNROLL" prepare --train mended.txt -o mended.h5
    done
    "$UNROLL" prepare --level word --train bom.txt --split 80,10,10 -o bom.h5 >/dev/null # a mark before UTF-8 is no fault
    "$UNROLL" score --model model.h5 bom.txt | cmp - <("$UNROLL" score --model model.h5 text.txt)
    { printf '\xef\xbb\xbf'; sed -n '/^vocabulary/,/^encoder/p' weights.txt | sed '1d;$d' | cut -f 1; } >tokens
    "$UNROLL" import model.safetensors --vocab-from tokens --level word -o again.h5
    "$UNROLL" score --model again.h5 text.txt | cmp - <("$UNROLL" score --model model.h5 text.txt)
    for level in "" "--level word"; do
        refused 65 "cannot read 'text.gz' as text: it is compressed with gzip; unpack it first: 'zcat text.gz" import model.safetensors --vocab-from text.gz $level -o out.h5
        refused 65 "cannot read 'model.safetensors' as text: it is a safetensors file" import model.safetensors --vocab-from model.safetensors $level -o out.h5
    done
    run -64 "$UNROLL" import model.safetensors --vocab-from tokens -o out.h5
    [[ "$output" == *"missing option '--level': 'tokens' is a text"* ]]
}

@test "a text that was cut off within a character, and what is no text, are not told to be of another encoding" {
    for file in cafe.txt cut.txt; do
        refused 65 "the text ends within a character, it was cut off: get the whole text, or use --invalid replace" prepare --train $file -o out.h5
        refused 65 "the text ends within a character, it was cut off" score --model model.h5 $file
        refused 65 "the text ends within a character, it was cut off" score --model model.h5 <$file
        refused 65 "the text ends within a character, it was cut off" score --model model.h5 --nbest kaldi < <(printf 'a-1 ' && tail -n 1 $file)
    done
    for file in cafe.txt cut.txt; do
        "$UNROLL" prepare --invalid replace --train $file -o cut.h5
    done
    printf 'caf\xe9' >end.txt
    refused 65 "it was cut off, or it is Latin-1: get the whole text" prepare --train end.txt -o out.h5
    printf 'caf\xe9 caf\xe9 caf\xe9 caf\xe9' >parts.txt # a part that ends so is no end of the text
    for percent in 20,40,40 21,39,40 22,38,40 25,35,40; do
        refused 65 "it looks like Latin-1" prepare --level char --split $percent --train parts.txt -o out.h5
    done
    while read -r file what; do
        refused 65 "$what" prepare --train $file -o out.h5
        [[ "$stderr" == *"--level byte if"* && "$stderr" != *iconv* ]]
        refused 65 "$what" score --model model.h5 $file
        [[ $file == unknown.bin ]] || refused 65 "$what" score --model model.h5 --nbest kaldi $file
        [[ "$stderr" != *iconv* ]]
        "$UNROLL" prepare --level byte --train $file -o bytes.h5
    done <<'END'
unknown.bin it is no text (binary); use
nul.bin it is no text (binary); use
a.png it is a picture, PNG; name a text
a.jpg it is a picture, JPEG; name a text
a.elf it is a program or a library, ELF; name a text
a.db it is a database of SQLite; name a text
END
}

@test "PyTorch's files: import and --model name the line that converts them" {
    for file in new.pt old.pt jit.pt; do
        line="it is PyTorch's own format, of torch.save; python3 -c \"import torch, safetensors.torch as s; m = torch.load('$file', 'cpu'); m = getattr(m, 'state_dict', lambda: m)(); "
        refused 65 "cannot use '$file' as safetensors: $line" import $file -o out.h5
        refused 65 "cannot use '$file' as weights in HDF5: $line" import --from hdf5 $file -o out.h5
        refused 76 "cannot use '$file' as a model: $line" score --model $file text.txt
        refused 65 "cannot use '$file' as a corpus: $line" eval --model model.h5 --corpus $file
        refused 65 "cannot use '$file': $line" inspect $file
        [[ "$stderr" == *"writes w.safetensors, which 'unroll import' takes"* ]]
    done
    refused 65 "it is a pickle of Python; name weights as safetensors" import dict.pkl -o out.h5
    refused 65 "it is a file of NumPy; name weights as safetensors" import array.npy -o out.h5
}

@test "a model for a corpus, a corpus for a model, weights for either, a text, a folder" {
    refused 65 "cannot use 'model.h5' as a corpus: it is a model, a checkpoint of Unroll; name a file that 'unroll prepare' made, and the model as --model" \
        eval --model model.h5 --corpus model.h5
    refused 65 "cannot use 'model.h5' as a corpus: it is a model" train --corpus model.h5 --run run2
    refused 76 "cannot use 'corpus.h5' as a model: it is a corpus of 'unroll prepare'; name a checkpoint, such as best.h5 in a run directory, and the corpus as --corpus" \
        eval --model corpus.h5 --corpus corpus.h5
    refused 65 "cannot use 'model.h5' as safetensors: it is a model, a checkpoint of Unroll; use it as --model" import model.h5 -o out.h5
    refused 65 "cannot use 'model.h5' as weights: it is a model, a checkpoint of Unroll; use it as --model, without an import" \
        import --from hdf5 model.h5 -o out.h5
    refused 76 "it is a safetensors file; 'unroll import --from safetensors model.safetensors -o MODEL.h5' makes a model of it" \
        score --model model.safetensors text.txt
    refused 65 "it is a safetensors file" import --from hdf5 model.safetensors -o out.h5
    refused 65 "it is what 'unroll export --to text' wrote, for people and awk; export the model again with '--to safetensors'" \
        import weights.txt -o out.h5
    python3 -c 'import h5py, numpy
with h5py.File("weights.h5", "w", libver="v108") as f: f["rnn.weight_ih_l0"] = numpy.zeros((4, 4), "f4")
with h5py.File("keras.h5", "w") as f: f.attrs["keras_version"] = "2.9.0"
with h5py.File("other.h5", "w", libver="v108") as f: f["x"] = numpy.zeros(4)'
    refused 76 "it is an HDF5 file with weights of another program; 'unroll import --from hdf5 weights.h5 -o MODEL.h5' makes a model of it" \
        score --model weights.h5 text.txt
    refused 65 "an HDF5 file with weights of another program; 'unroll import --from hdf5" import weights.h5 -o out.h5
    refused 76 "it is a model of Keras" score --model keras.h5 text.txt
    refused 65 "cannot use 'other.h5' as safetensors: it is an HDF5 file, but not of Unroll" import other.h5 -o out.h5
    refused 65 "cannot use 'text.txt' as a corpus: it is a text; 'unroll prepare --train text.txt --split 90,5,5 -o CORPUS.h5' makes a corpus of it" \
        train --corpus text.txt --run run2
    refused 65 "cannot use 'text.txt' as a corpus: it is a text; 'unroll prepare --vocab-from model.h5 --test text.txt -o CORPUS.h5' makes a corpus of it that fits the model" \
        eval --model model.h5 --corpus text.txt
    "$UNROLL" prepare --vocab-from model.h5 --test text.txt -o CORPUS.h5 # which it does
    "$UNROLL" eval --model model.h5 --corpus CORPUS.h5
    for command in score sample "export -o out.h5"; do # which take no --corpus
        refused 76 "cannot use 'corpus.h5' as a model: it is a corpus of 'unroll prepare'; name a checkpoint, such as best.h5 in a run directory" $command --model corpus.h5
        [[ "$stderr" != *--corpus* ]]
    done
    refused 66 "cannot open 'The text of a line': No such file or directory; is it a text? then write: echo '...' | unroll ..." score --model model.h5 'The text of a line'
    refused 76 "and the corpus as --corpus" gradflow --model corpus.h5 --corpus corpus.h5
    refused 65 "it is a corpus of 'unroll prepare'; it holds text and no weights; name weights of a model" import corpus.h5 -o out.h5
    refused 65 "it holds text and no weights" import --from hdf5 corpus.h5 -o out.h5
    refused 76 "cannot use 'text.txt' as a model: it is a text" score --model text.txt text.txt
    refused 76 "cannot use 'text.gz' as a model: it is compressed with gzip; unpack it first: 'zcat text.gz >FILE'" score --model text.gz text.txt
    refused 65 "cannot use '.' as a corpus: it is a directory" eval --model model.h5 --corpus .
    refused 65 "cannot read 'model.h5' as text: it is a model, a checkpoint of Unroll; name a text" prepare --train model.h5 -o out.h5
    refused 65 "cannot read 'corpus.h5' as text: it is a corpus of 'unroll prepare'" score --model model.h5 corpus.h5
    refused 65 "cannot read 'corpus.h5' as text: it is a corpus of 'unroll prepare'" score --model model.h5 --nbest moses corpus.h5
    # What is damaged is not called something else.
    head -c 3000 corpus.h5 >cut.h5
    refused 65 "cut off or damaged" eval --model model.h5 --corpus cut.h5
    head -c 3000 model.h5 >cut.h5
    refused 76 "cut off or damaged" eval --model cut.h5 --corpus corpus.h5
}
