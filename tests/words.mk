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
