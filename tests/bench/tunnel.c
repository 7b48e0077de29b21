/* A load generator and an origin for tunnels: TLS in looks only, so that neither is the bottleneck.
 *
 *     cc -O2 -o tunnel tunnel.c
 *     tunnel origin ANSWER_PORT STREAM_PORT
 *     tunnel new|ping|bulk|idle PROXY_PORT|0 PORT HELLO_FILE CONNECTIONS SECONDS
 *
 * The origin answers whatever it receives on one port with a handshake record, and streams on the
 * other. A client asks by CONNECT for origin.test (0: goes straight), sends the ClientHello in the
 * file and takes the answer. `new` begins anew then, `ping` goes on with small records on the same
 * connection, `bulk` reads the stream, `idle` opens the connections, says "ready" and waits for its
 * input to end. The others print: operations, seconds, bytes, errors, P50 and P99 in milliseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER = 1263, PING = 64, CHUNK = 1 << 18 };
enum state { CONNECTING, PROXY, ANSWERED };

struct client {
  int fd, got;
  enum state state;
  double began;
};

static int poller, proxy, port, hello_size, open_clients;
static char hello[1 << 14], ping[PING] = "\x17\x03\x03\x00\x3b", sink[CHUNK], connect_request[128];
static const char *mode;
static double *took;
static size_t count, room;
static long long bytes, errors;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static struct sockaddr_in local(int number) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(number)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

static void watch(int fd, int events, void *data) {
  struct epoll_event want = {.events = events, .data.ptr = data};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &want);
}

/* The origin keeps (fd, streams) in the word that epoll gives back. */
static void *word(int fd, int streams) { return (void *)((long)fd << 1 | streams); }

static int listening(int number) {
  struct sockaddr_in at = local(number);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) exit(2);
  return fd;
}

static void serve(int fd, int events, int streams) {
  static char answer[ANSWER] = "\x16\x03\x03\x04\xea\x02\x00\x04\xe6\x03\x03";
  ssize_t n = 1;
  if (events & EPOLLIN) {
    n = recv(fd, sink, sizeof sink, 0);
    if (n > 0 && !streams) send(fd, answer, sizeof answer, MSG_NOSIGNAL);
  }
  if (n > 0 && streams) n = send(fd, sink, sizeof sink, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN)) close(fd);
}

static void origin(int answers, int streams) {
  int doors[2] = {listening(answers), listening(streams)}, one = 1, fd;
  for (int i = 0; i < 2; i++) watch(doors[i], EPOLLIN, word(doors[i], i));
  for (;;) {
    struct epoll_event ready[256];
    int n = epoll_wait(poller, ready, 256, -1);
    for (int i = 0; i < n; i++) {
      long which = (long)ready[i].data.ptr;
      if ((int)(which >> 1) != doors[which & 1]) {
        serve(which >> 1, ready[i].events, which & 1);
        continue;
      }
      while ((fd = accept4(doors[which & 1], NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(fd, which & 1 ? EPOLLIN | EPOLLOUT : EPOLLIN, word(fd, which & 1));
      }
    }
  }
}

static void begin(struct client *c) {
  struct sockaddr_in to = local(proxy ? proxy : port);
  int one = 1;
  *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .began = now()};
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connect(c->fd, (struct sockaddr *)&to, sizeof to);
  watch(c->fd, EPOLLIN | EPOLLOUT | EPOLLET, c);
}

static void again(struct client *c) {
  close(c->fd);
  begin(c);
}

static void say(struct client *c, const char *text, int size, enum state next) {
  if (send(c->fd, text, size, MSG_NOSIGNAL) != size) errors++;
  c->state = next;
  c->got = 0;
}

static void answered(struct client *c) {
  if (count == room) took = realloc(took, (room = room ? room * 2 : 65536) * sizeof *took);
  took[count++] = now() - c->began;
  if (!strcmp(mode, "new")) again(c);
  else if (!strcmp(mode, "idle")) open_clients++, c->got = -1;
  else c->began = now(), say(c, ping, PING, ANSWERED);
}

/* 1: there may be more to do. */
static int step(struct client *c) {
  if (c->state == CONNECTING) {
    int problem = 0;
    socklen_t size = sizeof problem;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem) return errors++, again(c), 0;
    if (proxy) say(c, connect_request, strlen(connect_request), PROXY);
    else say(c, hello, hello_size, ANSWERED);
  }
  ssize_t n = recv(c->fd, sink, sizeof sink, c->state == ANSWERED ? MSG_TRUNC : 0);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) return errors++, again(c), 0;
  c->got += n;
  if (c->state == PROXY && memmem(sink, n, "\r\n\r\n", 4)) say(c, hello, hello_size, ANSWERED);
  else if (!strcmp(mode, "bulk")) bytes += n;
  else if (c->state == ANSWERED && c->got >= ANSWER) return answered(c), strcmp(mode, "new") != 0;
  return 1;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void turn(void) {
  struct epoll_event ready[256];
  int n = epoll_wait(poller, ready, 256, 100);
  for (int i = 0; i < n; i++)
    for (int turns = 0; turns < 64 && step(ready[i].data.ptr); turns++);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  poller = epoll_create1(0);
  mode = argv[1];
  if (argc == 4) origin(atoi(argv[2]), atoi(argv[3]));
  if (argc != 7) return 2;
  proxy = atoi(argv[2]), port = atoi(argv[3]);
  FILE *file = fopen(argv[4], "rb");
  hello_size = file ? (int)fread(hello, 1, sizeof hello, file) : 0;
  int clients = atoi(argv[5]);
  snprintf(connect_request, sizeof connect_request,
           "CONNECT origin.test:%d HTTP/1.1\r\nHost: origin.test:%d\r\n\r\n", port, port);
  struct client *all = calloc(clients, sizeof *all);
  double start = now(), seconds = atof(argv[6]);
  int idle = !strcmp(mode, "idle");
  for (int i = 0; i < clients; i++) begin(&all[i]);
  while (idle ? open_clients < clients && now() - start < 60 : now() - start < seconds) turn();
  if (idle) {
    printf("ready\n");
    fflush(stdout);
    return read(0, sink, 1) < 0;
  }
  double end = now();
  qsort(took, count, sizeof *took, ascending);
  double p50 = count ? took[count / 2] * 1e3 : 0, p99 = count ? took[count * 99 / 100] * 1e3 : 0;
  printf("%zu %.4f %lld %lld %.3f %.3f\n", count, end - start, bytes, errors, p50, p99);
}
