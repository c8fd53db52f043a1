# The words: the preview page inside reachctl, the bench of rendering. Included by the Makefile.

# The page becomes C strings, so that the program carries the page that fits it.
PREVIEW_PAGE := $(B)/gen/templates/preview_page.h
PREVIEW_FILES := templates/preview/index.html templates/preview/app.js templates/preview/style.css

$(PREVIEW_PAGE): $(PREVIEW_FILES) tests/words.mk
	@mkdir -p $(@D)
	@{ for f in $(PREVIEW_FILES); do n=$$(basename $$f | tr . _); printf 'static const char preview_%s[] =\n' "$$n"; \
	   sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/?/\\?/g' -e 's/^/    "/' -e 's/$$/\\n"/' $$f; echo '    ;'; done; } > $@.tmp && mv $@.tmp $@
$(call obj,templates/preview.c): $(PREVIEW_PAGE)
TIDY_GEN += $(PREVIEW_PAGE)

.PHONY: bench-render
bench-render: $(B)/tests/bench/bench_render ## what it costs to make a mail, beside npm mustache + marked + nodemailer where they are
	@B=$(B) tests/bench/bench_render.sh

# libFuzzer over the words; FUZZ_SECONDS=600 for longer. What it finds is left in the current directory as crash-*.
FUZZ_SECONDS ?= 60
.PHONY: fuzz-words
fuzz-words: $(PREVIEW_PAGE) ## clang's fuzzer over templates and front matter for a minute
	clang -std=c17 -D_GNU_SOURCE -I. -I$(B)/gen -g -O1 -fsanitize=fuzzer,address,undefined $(PKG_CFLAGS) tests/templates/fuzz_template.c \
	    $(wildcard templates/*.c base/*.c) -o $(B)/fuzz-words -levent $(LIBS_CORE) -lcmark-gfm -lcmark-gfm-extensions
	$(B)/fuzz-words -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=2048
