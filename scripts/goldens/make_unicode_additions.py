"""Prints the rows of src/text/unicode_additions.cpp: what \\p{..} of the tokenizers package (0.23.3, Unicode 16)
takes and Unicode 14 (Python 3.11's unicodedata, PCRE2 10.42) has under another category.

    python3.11 scripts/goldens/make_unicode_additions.py
"""
import json
import unicodedata

import tokenizers

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Cf".split()
CODES = [c for c in range(0x33000) if not 0xD800 <= c < 0xE000]


def matched(pattern):
    """The code points that a class takes: Removed leaves nothing of them, and of others one unknown token."""
    spec = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": False},
        "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": False, "vocab": {"<unk>": 0},
                  "merges": []}}
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(spec))
    encodings = tokenizer.encode_batch([chr(c) for c in CODES])
    return [c for c, e in zip(CODES, encodings) if not e.ids]


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    rows = []
    for category in CATEGORIES:
        for code in matched(r"\p{%s}" % category):
            if unicodedata.category(chr(code)) == category:
                continue
            if rows and rows[-1][1] == code - 1 and rows[-1][2] == category:
                rows[-1][1] = code
            else:
                rows.append([code, code, category])
    for begin, end, category in sorted(rows):
        print('{0x%X, 0x%X, "%s"},' % (begin, end, category))


if __name__ == "__main__":
    main()
