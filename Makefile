# make help says what there is.  B is the build folder; nothing else is written, but for RUN by `up`.
B          ?= build
RUN        ?= .run
PREFIX     ?= /usr/local
CFLAGS     ?= -O2 -g
PYTHON     ?= /usr/bin/python3
STD         = -std=gnu11 -D_GNU_SOURCE -fno-strict-aliasing -I. -I$B/gen	# the codec stores by offset
WARN        = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual \
              -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wconversion -Wswitch-enum $(WERROR)
WERROR     ?= $(if $(CI),-Werror)
# OpenSSF compiler hardening; what this compiler or machine lacks is left out.
has         = $(shell $(CC) -Werror $(1) -x c -c /dev/null -o /dev/null 2>/dev/null && echo '$(1)')
HARDEN     ?= $(foreach f,-fstack-protector-strong -fstack-clash-protection -fcf-protection \
              -ftrivial-auto-var-init=zero -D_FORTIFY_SOURCE=2,$(call has,$f)) -fPIE
HARDEN     := $(HARDEN)
LINKFLAGS  ?= -pie -Wl,-z,relro,-z,now,-z,noexecstack
INCLUDES   := -isystem $(shell pg_config --includedir 2>/dev/null || echo /usr/include/postgresql)
LIBS        = -lnats -lpq -lmsgpackc -ljansson -lcivetweb -ljwt -lhiredis -lsodium -lcurl -lcrypto -lpthread -lm

SRC        := $(wildcard broker/base/*.c broker/*.c broker/msg/*.c actors/*/*.c web/*.c)
QUERIES    := $(sort $(wildcard sql/queries/*.sql))
MIGRATIONS := $(sort $(wildcard sql/migrations/*.sql))
GEN        := $B/gen/query.o $B/gen/migration.o $B/gen/assets.o
OBJ        := $(SRC:%.c=$B/%.o) $(GEN)
UNIT       := $(patsubst %.c,$B/%,$(wildcard tests/unit/test_*.c))
WITH       := $(patsubst %.c,$B/%,$(wildcard tests/integration/test_*.c))
FUZZ       := $(patsubst %.c,$B/%,$(wildcard tests/fuzz/fuzz_*.c))
LOAD       := $B/loadtest/load
TABLES     := $B/tests/tables
SIM        := $B/tests/sim/sim
HISTORIES  := $B/tests/sim/test_sim
WORLD      := $(patsubst %,$B/tests/sim/%.o,world stream database clients judge)

all: $B/healthmed $(LOAD)	## builds the program and the load generator

$B/healthmed: $B/healthmed.o $B/libhealthmed.a
	$(CC) $(CFLAGS) $(LINKFLAGS) $^ -o $@ $(LIBS)
$B/libhealthmed.a: $(OBJ)
	@rm -f $@ && ar rcs $@ $^
$B/gen/query.h $B/gen/query.c: $B/gen/query.%: sql/embed.awk $(QUERIES)
	@mkdir -p $(@D)
	awk -v part=$* -f $^ > $@.tmp && mv $@.tmp $@
$B/gen/migration.c: sql/migrations.awk $(MIGRATIONS)
	@mkdir -p $(@D)
	awk -f $^ > $@.tmp && mv $@.tmp $@
$B/gen/assets.c: web/docs.py web/openapi.yaml web/docs.css
	@mkdir -p $(@D)
	$(PYTHON) $^ > $@.tmp && mv $@.tmp $@
$(GEN): %.o: %.c
	$(CC) $(STD) $(WARN) $(CFLAGS) $(HARDEN) -c $< -o $@
$B/gen/query.o: $B/gen/query.h
$B/%.o: %.c | $B/gen/query.h
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARN) $(INCLUDES) $(CFLAGS) $(HARDEN) -MMD -MP -c $< -o $@
$(UNIT) $(WITH): %: %.o $B/tests/unit/main.o $B/libhealthmed.a
	$(CC) $(CFLAGS) $(LINKFLAGS) $^ -o $@ $(LIBS) -lcmocka
$(FUZZ): %: %.o $(if $(FUZZER),,$B/tests/fuzz/replay.o) $B/libhealthmed.a
	$(CC) $(CFLAGS) $(FUZZER) $(LINKFLAGS) $^ -o $@ $(LIBS)
$(LOAD): $(patsubst %.c,$B/%.o,$(wildcard loadtest/*.c)) $B/libhealthmed.a
	$(CC) $(CFLAGS) $(LINKFLAGS) $^ -o $@ $(LIBS)
# What the simulated world has, the library is not asked for.
$(SIM): %: %.o $(WORLD) $B/libhealthmed.a
	$(CC) $(CFLAGS) $(LINKFLAGS) $^ -o $@ $(LIBS)
$(HISTORIES): %: %.o $(WORLD) $B/tests/unit/main.o $B/libhealthmed.a
	$(CC) $(CFLAGS) $(LINKFLAGS) $^ -o $@ $(LIBS) -lcmocka
$(TABLES): %: %.o $B/libhealthmed.a
	$(CC) $(CFLAGS) $(LINKFLAGS) $^ -o $@ $(LIBS)

# ---- running ----
export HEALTHMED_BIN = $(abspath $B/healthmed)
JOBS  ?= $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
BUILD  = $(MAKE) --no-print-directory $(JOBS)

up:	## installs what is missing, builds, starts everything in RUN (.run); CLUSTER=1: several of each
	@./stack packages build run $(if $(CLUSTER),cluster)
	@echo building && $(BUILD) -s all
	@./stack up $(RUN) $(if $(CLUSTER),--cluster)
down:	## stops everything that `make up` started
	@./stack down $(RUN)
status:	## shows each component; succeeds only if all are well
	@./stack status $(RUN)
logs:	## shows the last lines of the logs, and follows them on a terminal
	@./stack logs $(RUN) -n 20 $(shell [ -t 1 ] && echo -f)
clean:	## removes the build and the data of `make up` (after `make down`)
	@./stack clean $(RUN)
	rm -rf $B

# ---- testing ----
# A build with a sanitizer, or of another kind, is the same Makefile with another B and CFLAGS.
ASAN        = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN        = -O1 -g -fno-omit-frame-pointer -fsanitize=thread
# What a sanitizer adds makes gcc see variables unset and texts cut short: those two warnings are off.
INSTRUMENTED = HARDEN=-fPIE WERROR='$(WERROR) -Wno-maybe-uninitialized -Wno-format-truncation'
AS_ASAN     = CFLAGS='$(ASAN)' $(INSTRUMENTED)
AS_TSAN     = CFLAGS='$(TSAN)' $(INSTRUMENTED)
AS_MUTANTS  = CFLAGS='-O1 -g -DHEALTHMED_MUTANTS'
FUZZ_B     ?= $B/asan
REPLAY      = $(FUZZ:$B/%=$(FUZZ_B)/%)
PYTESTS    ?= $(wildcard tests/integration tests/e2e tests/faults)
RACES       = $(wildcard tests/e2e/test_[1456]0*.py tests/e2e/test_21*.py tests/e2e/test_55*.py)	# where many do something at once
FUZZ_SECONDS ?= 60
SEEDS       ?= 20000
SAN_OPTIONS = ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=0 \
              UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp \
              TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp:ignore_noninstrumented_modules=1:history_size=4
SANE        = env $(SAN_OPTIONS)

programs: $B/healthmed $(UNIT) $(WITH) $(SIM) $(HISTORIES) $(LOAD) $(TABLES)
replayers: $(FUZZ)
test check:	## builds and runs every test on servers of its own; ends with one line
	@echo building the tests && $(BUILD) -s programs && $(BUILD) -s B=$(FUZZ_B) $(AS_ASAN) replayers
	@[ -z "$(findstring faults,$(PYTESTS))" ] || $(BUILD) -s B=$B/mutants $(AS_MUTANTS) $B/mutants/healthmed
	@$(SANE) tests/run $(UNIT) $(HISTORIES) $(WITH) $(REPLAY) -- $(PYTESTS)
asan:	## the same with AddressSanitizer and UBSan, in the tests and in the processes tested; without faults and plans
	@MARK='not plans' $(MAKE) --no-print-directory B=$B/asan FUZZ_B=$B/asan $(AS_ASAN) STACK_PATIENCE=90 \
		PYTESTS='$(filter-out %faults,$(PYTESTS))' test
tsan:	## the tests of gateway and worker with ThreadSanitizer
	@echo building with ThreadSanitizer && $(BUILD) -s B=$B/tsan $(AS_TSAN) programs
	@HEALTHMED_BIN=$(abspath $B/tsan/healthmed) STACK_PATIENCE=90 $(SANE) \
		MARK='not slow' tests/run $(UNIT:$B/%=$B/tsan/%) $(WITH:$B/%=$B/tsan/%) -- $(RACES)
mutants:	## switches off one rule of rule.h after the other: some test must fail for each
	@echo building the mutants && $(BUILD) -s B=$B/mutants $(AS_MUTANTS) programs
	@B=$B/mutants HEALTHMED_BIN=$(abspath $B/mutants/healthmed) tests/mutants
faults:	## breaks a cluster under load, a scenario after the other, and judges; SCENARIO=name, LIST=1
	@./stack packages build run test
	@echo building && $(BUILD) -s all && $(BUILD) -s B=$B/mutants $(AS_MUTANTS) $B/mutants/healthmed
	@MUTANTS_BIN=$(abspath $B/mutants/healthmed) $(PYTHON) tests/faults/run.py $(if $(LIST),--list,$(SCENARIO))
sim:	## runs SEEDS (20000) simulated histories of the mailbox with faults; SEED=n: that one, step by step
	@$(BUILD) -s $(SIM)
	@$(SANE) $(SIM) $(if $(SEED),seed $(SEED),$(SEEDS))
fuzz:	## lets clang's fuzzer run on each parser, FUZZ_SECONDS (60) each
	@$(BUILD) -s B=$B/fuzz CC=clang CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined' HARDEN=-fPIE \
		WARN=-w FUZZER=-fsanitize=fuzzer replayers
	@set -e; for f in $(notdir $(FUZZ)); do \
		mkdir -p $B/fuzz/corpus/$$f; \
		$(SANE) $B/fuzz/tests/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -timeout=5 \
			-print_final_stats=1 -artifact_prefix=$B/fuzz/$$f- $B/fuzz/corpus/$$f \
			$(wildcard tests/fuzz/corpus)/$${f#fuzz_}; \
	done
bench:	## the benchmark: durable bookings over HTTP against the usual way in SQL
	@$(BUILD) -s all
	@loadtest/bench
SHOWN       = steady double ramp hot-doctor login-storm
loadtest:	## load tests with their reports: SCENARIO="steady ramp"; LIST=1 says which there are; FRONT=1: behind the proxies
	@./stack packages build run cluster
	@$(BUILD) -s all
	@loadtest/run $(if $(LIST),--list,$(if $(FRONT),--front) $(or $(SCENARIO),$(SHOWN)))
lint:	## the rules of the house, cppcheck and shellcheck
	@tests/lint/run
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppressions-list=tests/lint/cppcheck.txt -j2 -I. -D_GNU_SOURCE healthmed.c actors broker web
	@shellcheck $$(grep -lE '^#!/bin/(ba)?sh' stack .ci/run tests/* tests/lint/* loadtest/* 2>/dev/null)
	@echo "lint: nothing to say"
fmt:	## lays out the lines of C that changed as .clang-format says
	$(or $(shell command -v git-clang-format || command -v git-clang-format-14),git-clang-format) --force --extensions c,h
verify:	## checks the promises against what `make up` stored
	@set -a; . $(abspath $(RUN))/env; $$HEALTHMED_BIN verify

# ---- installing ----
install: all	## copies the program to DESTDIR PREFIX (/usr/local)
	install -D -m 755 $B/healthmed $(DESTDIR)$(PREFIX)/bin/healthmed
uninstall:	## removes it from there
	rm -f $(DESTDIR)$(PREFIX)/bin/healthmed

help:	## says this
	@awk -F':.*## ' '/^[a-z ]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

-include $(shell find $B -name '*.d' 2>/dev/null)
.PHONY: all up down status logs clean programs replayers test check asan tsan mutants sim faults fuzz bench loadtest lint fmt \
	verify install uninstall help
.SECONDARY:
.DELETE_ON_ERROR:
