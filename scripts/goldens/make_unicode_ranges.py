"""Prints src/text/unicode_ranges.cpp: the sets of characters that the tokenizers package (0.23.3) tests for, one code
point after the other, and the characters that its Unicode normalization (Unicode 9) does not know.

    python scripts/goldens/make_unicode_ranges.py > src/text/unicode_ranges.cpp && make format

The last set needs libutf8proc.so.2 of 2.8 (Unicode 15), which the build needs anyway.
"""
import ctypes

from tokenizers import normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
PRIVATE = range(0xF0000, 0x110000)
STABLE, COMPAT, DECOMPOSE = 2, 4, 16


def edges(codes):
    """Where the set begins and, one after it, ends, in turn."""
    found = []
    for code in codes:
        if found and found[-1] == code:
            found[-1] = code + 1
        else:
            found += [code, code + 1]
    return found


def removed(step):
    return [c for c in CODES if c not in PRIVATE and not step.pre_tokenize_str(chr(c))]


def numeric():
    step = pre_tokenizers.Digits(individual_digits=True)
    return [c for c in CODES if len(step.pre_tokenize_str("a" + chr(c))) == 2]


def word():
    step = pre_tokenizers.Whitespace()
    return [c for c in CODES if len(step.pre_tokenize_str("a" + chr(c))) == 1 and step.pre_tokenize_str(chr(c))]


def marks():
    step = normalizers.StripAccents()
    return [c for c in CODES if not step.normalize_str(chr(c))]


def decomposed(library, text):
    bytes_ = text.encode()
    result = ctypes.c_void_p()
    size = library.utf8proc_map(bytes_, len(bytes_), ctypes.byref(result), STABLE | COMPAT | DECOMPOSE)
    out = ctypes.string_at(result, size).decode()
    ctypes.CDLL(None).free(result)
    return out


def later():
    """Combining class 1 after it, class 232 before it, class 230 after it: one of them moves if its class is known."""
    library = ctypes.CDLL("libutf8proc.so.2")
    library.utf8proc_map.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int]
    library.utf8proc_map.restype = ctypes.c_ssize_t
    ctypes.CDLL(None).free.argtypes = [ctypes.c_void_p]
    form = normalizers.NFKD()
    found = []
    for code in CODES:
        if 0x33000 <= code < 0xE0000 or code >= 0xE1000:
            continue
        c = chr(code)
        if any(form.normalize_str(t) != decomposed(library, t) for t in (c, c + "\u0334", "\u0315" + c, c + "\u0301")):
            found.append(code)
    return found


def main():
    sets = {
        "kPunctuation": removed(pre_tokenizers.Punctuation(behavior="removed")),
        "kNumeric": numeric(),
        "kWord": word(),
        "kMarks": marks(),
        "kLater": later(),
    }
    print("// Made by scripts/goldens/make_unicode_ranges.py.\n#include \"text/unicode_ranges.h\"\n")
    print("#include <algorithm>\n#include <array>\n#include <span>\n\nnamespace whit::text {\n\nnamespace {\n")
    print("// A set is where it begins and, one after it, ends, in turn.\n")
    for name, codes in sets.items():
        found = edges(codes)
        print(f"constexpr std::array<char32_t, {len(found)}> {name} = {{")
        print(", ".join("0x%X" % code for code in found))
        print("};\n")
    print("""bool is_in(std::span<const char32_t> edges, char32_t code) {
  const auto after = std::upper_bound(edges.begin(), edges.end(), code);
  return (after - edges.begin()) % 2 == 1;
}

}  // namespace
""")
    for function, name in [("is_punctuation", "kPunctuation"), ("is_numeric", "kNumeric"), ("is_word", "kWord"),
                           ("is_mark", "kMarks"), ("is_later_than_normalization", "kLater")]:
        print(f"bool {function}(char32_t code) {{\n  return is_in({name}, code);\n}}\n")
    print("}  // namespace whit::text")


if __name__ == "__main__":
    main()
