#!/usr/bin/env bats
# tools/get-corpus docs: a text of Debian's packages, here of small ones that apt-get, replaced, has.

bats_require_minimum_version 1.5.0

setup() {
    root=$BATS_TEST_DIRNAME/../..
    command -v dpkg-deb >/dev/null || skip "no dpkg-deb"
    cd "$BATS_TEST_TMPDIR"
    mkdir -p bin archive
    # What apt knows lies in archive.
    cat >bin/apt-cache <<TEXT
#!/bin/sh
ls "$PWD/archive" | grep "^\$2_" || true
TEXT
    cat >bin/apt-get <<TEXT
#!/bin/sh
[ "\$1" = download ] || exit 100
for word; do
    case \$word in download | -* | APT::*) ;; *) cp "$PWD/archive/\$word"_*.deb . || exit 100 ;; esac
done
echo "\$@" >>"$PWD/asked"
TEXT
    chmod +x bin/*
    export PATH=$PWD/bin:$PATH
}

# package NAME: what lies in the folder tree becomes a package that apt has.
package() {
    mkdir -p tree/DEBIAN
    printf 'Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <a@b.example>\nDescription: none\n' "$1" >tree/DEBIAN/control
    dpkg-deb --root-owner-group -b tree "archive/$1_1.0_all.deb" >/dev/null
    rm -r tree
}

# dictionary TEXT
dictionary() {
    mkdir -p tree/usr/share/dictd
    printf "$1" | gzip -n >tree/usr/share/dictd/gcide.dict.dz
    package dict-gcide
}

page() {
    mkdir -p tree/usr/share/doc/anarchism
    cat >tree/usr/share/doc/anarchism/page.html
    package anarchism
}

docs() {
    run -"$1" --separate-stderr "$root/tools/get-corpus" docs "${@:2}" -o out
    printf '%s\n' "$output" "$stderr"
}

@test "of a page the prose: no head, headings, menus, tables, programs, links alone, other languages" {
    page <<'TEXT'
<html><head><title>The title of it is here.</title><style>p { color: red; }</style></head><body><!-- <p>This is a comment of the page.</p> -->
<nav><ul><li>This is one of the menus.</li></ul></nav><h1>This is the heading of the page.</h1>
<p>The <b>first</b> word&#8217;s of
the page &amp; <code>its</code> end &mdash; so it is.</p><pre>if this is the program, it goes away.</pre>
<table><tr><td><table><tr><td>inner</td></tr></table>This cell is of the table.</td></tr></table>
<p><a href="x">This is but a link to the next one.</a></p><ul><li>An item with <a href="y">a link</a> in the list.</li></ul>
<p>Too short is this.</p><p>This is not a sentence of any page</p><p>THE first word's OF the page &amp; its end &#8212; so it is.</p>
<p>Dies ist ein Satz auf Deutsch, der nicht bleibt.</p><p>Это the text of the page is not Latin.</p>
<p>{ x = { 1 } } is the code; it is of a &lt;b&gt; program.</p><p>caf&eacute; is the word for it with na&iuml;ve you.</p>
TEXT
    docs 0
    diff - out <<'TEXT'
The first word's of the page & its end -- so it is .
An item with a link in the list .
café is the word for it with naïve you .
TEXT
    [[ "$stderr" == *"anarchism                1.0 "*"3 lines"*", not 15.3-3"* ]]
    [[ "$stderr" == *"dict-gcide               this release does not have it"* ]]
    [[ "$stderr" == *" 26 distinct; sha256 $(sha256sum out | cut -c1-64)"* ]]
    [[ "$stderr" == *"this is NOT the text whose digest is stated"* ]]
}

@test "of dictionaries entries without pronunciations, etymologies and sources; lines that were there are left out" {
    dictionary 'Lames \\Lames\\ (l[.a]mz), n. pl. [F. lame a thin plate,\n   L. [lamina].] (Armor)\n   Small {steel plates} combined together.\n   [1913 Webster]\n\nLamin[ae] \\La*min\\, n.\n   1. A thin plate or scale of it. --Gray.\n\n   2. Plates that are thin and lie there.\n\nbad \xff bytes are not in the text.\n'
    mkdir -p tree/usr/share/wordnet
    {
        printf '  1 This software is of no use here.\n'
        printf '00001740 03 n 02 entity 0 physical_thing(p) 1 000 | plates that are thin and lie there; "so it is"\n'
    } >tree/usr/share/wordnet/data.noun
    package wordnet-base
    mkdir -p tree/usr/share/games/fortunes
    printf 'Plates that ARE thin and\nlie there.\n%%\nA man is as old as he feels.\n\t\t-- Anonymous\n%%\n' >tree/usr/share/games/fortunes/all
    package fortunes
    docs 0
    sort out | diff - <(LC_ALL=C sort <<'TEXT'
Lames , n . pl . ( Armor ) Small steel plates combined together .
Laminae , n . 1 . A thin plate or scale of it . -- Gray .
Plates that are thin and lie there .
entity , physical thing : plates that are thin and lie there ; " so it is "
A man is as old as he feels . -- Anonymous
TEXT
    )
}

@test "of manual pages and pod paragraphs without formatting and programs" {
    mkdir -p tree/usr/share/man/man2
    gzip -n >tree/usr/share/man/man2/x.2.gz <<'TEXT'
.\" A comment of the page is not in the text.
.TH X 2
.SH NAME
The name of it is this.
.PP
The
.BR open (2)
call is \fInot\fP for
.I you alone
\- it\(aqs for all.
.nf
This is a program of the page.
.fi
.TS
This is a table of the page.
.TE
The end is for you and me.
TEXT
    package manpages-dev
    mkdir -p tree/usr/share/perl
    printf 'This is a program of it.\n\n=head1 This is the head of it.\n\nThe C<< x >> of B<I<you>> is L<the link|page> for it.\n\n    this is a program of it.\n\n=cut\n\nThis is a program of it again.\n' >tree/usr/share/perl/a.pod
    package perl-doc
    docs 0
    LC_ALL=C sort out | diff - <(LC_ALL=C sort <<'TEXT'
The name of it is this .
The open ( 2 ) call is not for you alone - it's for all .
The end is for you and me .
The x of you is the link for it .
TEXT
    )
}

@test "the text is the same every time, mixed by pieces of 50 lines; packages are kept and taken from a folder" {
    for k in {1..400}; do printf 'word%d is the word that is number %d.\n\n' "$k" "$k"; done >text
    dictionary "$(cat text)"
    docs 0 --packages kept
    [ "$(wc -l <out)" -eq 400 ] && [ "$(LC_ALL=C sort -u out | wc -l)" -eq 400 ]
    run ! cmp -s out <(sort -V out)
    mapfile -t firsts < <(awk 'NR % 50 == 1' out | sed 's/^word\([0-9]*\) .*/\1/' | sort -n)
    [ "${firsts[*]}" = "1 51 101 151 201 251 301 351" ]
    cp out before
    [ "$(ls kept)" = dict-gcide_1.0_all.deb ] && [ "$(wc -l <asked)" -eq 1 ]
    rm archive/*
    docs 0 --packages kept
    cmp before out
    [ "$(wc -l <asked)" -eq 1 ]
    "$root/tools/get-corpus" docs --packages kept -o - 2>said | cmp before -
    grep -qF "; sha256 $(sha256sum <before | cut -c1-64)" said
}

@test "what can go wrong is told, and nothing is left" {
    docs 66
    [[ "$stderr" == *"unroll: no package of 'docs' is to be had; run apt-get update" ]]
    dictionary 'A thin plate or scale of it.\n'
    printf '#!/bin/sh\necho E: no network >&2\nexit 100\n' >bin/apt-get
    docs 66
    [[ "$stderr" == *"E: no network"*"unroll: cannot fetch 'dict-gcide': apt-get download failed, see above; run apt-get update" ]]
    mkdir kept
    echo broken >kept/dict-gcide_1.0_all.deb
    docs 65 --packages kept
    [[ "$stderr" == *"unroll: cannot unpack 'kept/dict-gcide_1.0_all.deb': "* ]]
    run -64 "$root/tools/get-corpus" kjv --packages kept -o out
    [[ "$output" == *"'--packages' is for docs, not for 'kjv'"* ]]
    run -64 "$root/tools/get-corpus" docs -o out --packages
    [ "$(echo out*)" = 'out*' ]
    : >file
    docs 73 --packages file
    mkdir few
    ln -s "$(command -v rm)" few/rm
    run -69 env PATH="$PWD/few" /bin/sh "$root/tools/get-corpus" docs -o out
    [[ "$output" == *"cannot find 'python3'"* ]]
    [ "$(echo out*)" = 'out*' ]
}
