# make [help]      B is the build folder; nothing but the build is written there, and nothing elsewhere.
B          ?= build
RUN        ?= .run
PREFIX     ?= /usr/local
CFLAGS     ?= -O2 -g
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
LIBS        = -lnats -lpq -lmsgpackc -ljansson -lcivetweb -ljwt -lhiredis -lsodium -lcrypto -lpthread -lm

SRC        := $(wildcard broker/base/*.c broker/*.c broker/msg/*.c actors/*/*.c web/*.c)
QUERIES    := $(sort $(wildcard sql/queries/*.sql))
MIGRATIONS := $(sort $(wildcard sql/migrations/*.sql))
GEN        := $B/gen/query.o $B/gen/migration.o
OBJ        := $(SRC:%.c=$B/%.o) $(GEN)
UNIT       := $(patsubst %.c,$B/%,$(wildcard tests/unit/test_*.c))
LOAD       := $(patsubst %.c,$B/%,$(wildcard loadtest/*.c))

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
$(GEN): %.o: %.c
	$(CC) $(STD) $(WARN) $(CFLAGS) $(HARDEN) -c $< -o $@
$B/%.o: %.c | $B/gen/query.h
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARN) $(INCLUDES) $(CFLAGS) $(HARDEN) -MMD -MP -c $< -o $@
$(UNIT): %: %.o $B/tests/unit/main.o $B/libhealthmed.a
	$(CC) $(CFLAGS) $(LINKFLAGS) $^ -o $@ $(LIBS) -lcmocka
$(LOAD): %: %.o $B/libhealthmed.a
	$(CC) $(CFLAGS) $(LINKFLAGS) $^ -o $@ $(LIBS)

clean:	## removes the build and, with nothing running there, the data of `make up`
	rm -rf $B

-include $(shell find $B -name '*.d' 2>/dev/null)
.PHONY: all clean
.SECONDARY:
.DELETE_ON_ERROR:
