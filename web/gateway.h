/* gateway.h - the subcommand that serves HTTP; the configuration is loaded. */
#ifndef WEB_GATEWAY_H
#define WEB_GATEWAY_H

int gateway_main(int argc, char **argv);
#endif
