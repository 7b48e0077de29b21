/* A load generator that is not the bottleneck: HTTPS over HTTP/1.1, through CONNECT or straight.
 *
 *     cc -O2 -o load load.c -lssl -lcrypto
 *     load PROXY_PORT|0 PORT CA PATH CONNECTIONS SECONDS keep|new
 *
 * To origin.test on 127.0.0.1; with 0 for a proxy, straight to the port. Every answer must be a 200
 * with a Content-Length. Says "ready" once every connection has had an answer, then counts for so
 * many seconds, and prints: operations, seconds, bytes, errors, P50 and P99 in milliseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum state { CONNECTING, ASKING_PROXY, PROXY_ANSWER, HANDSHAKE, WRITING, HEAD, BODY };

struct client {
  int fd, length;
  enum state state;
  SSL *ssl;
  double began;
  long long left;
  char head[8192];
};

static const char *host = "origin.test";
static int proxy, port, keep, poller;
static char request[512], connect_request[256];
static SSL_CTX *tls;
static double *took;
static size_t count, room;
static long long bytes, errors;
static int cold;
static double start;
static char sink[1 << 17];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void begin(struct client *c) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(proxy ? proxy : port)};
  int one = 1;
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connect(c->fd, (struct sockaddr *)&to, sizeof to);
  c->ssl = NULL;
  c->length = 0;
  c->state = CONNECTING;
  c->began = now();
  /* Edge-triggered for both: every step goes on until it would block. */
  struct epoll_event want = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &want);
}

static void end(struct client *c) {
  if (c->ssl) {
    SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
  }
  close(c->fd);
  begin(c);
}

static void fail(struct client *c) {
  errors++;
  end(c);
}

/* Every connection has had its first answer: what comes now counts. */
static void warm(void) {
  count = 0;
  bytes = errors = 0;
  start = now();
  printf("ready\n");
  fflush(stdout);
}

static void done(struct client *c) {
  if (count == room) took = realloc(took, (room = room ? room * 2 : 65536) * sizeof *took);
  took[count++] = now() - c->began;
  if (cold && !--cold) warm();
  if (!keep) {
    end(c);
    return;
  }
  c->began = now();
  c->state = WRITING;
}

/* 1: went on; 0: must wait; -1: failed. */
static int waits(struct client *c, int result) {
  int why = SSL_get_error(c->ssl, result);
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int read_head(struct client *c) {
  int n = SSL_read(c->ssl, c->head + c->length, sizeof c->head - 1 - c->length);
  if (n <= 0) return waits(c, n);
  c->length += n;
  c->head[c->length] = 0;
  char *body = strstr(c->head, "\r\n\r\n"), *length = strcasestr(c->head, "\r\nContent-Length:");
  if (!body) return c->length < (int)sizeof c->head - 1 ? 1 : -1;
  if (strncmp(c->head, "HTTP/1.1 200", 12) || !length || length > body) return -1;
  c->left = atoll(length + 17) - (c->length - (body + 4 - c->head));
  bytes += c->length;
  c->state = BODY;
  return 1;
}

static int step(struct client *c) {
  int n, problem = 0;
  socklen_t size = sizeof problem;
  switch (c->state) {
    case CONNECTING:
      getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
      c->state = proxy ? ASKING_PROXY : HANDSHAKE;
      return problem ? -1 : 1;
    case ASKING_PROXY:
      n = send(c->fd, connect_request, strlen(connect_request), MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
      c->state = PROXY_ANSWER;
      return 1;
    case PROXY_ANSWER:
      n = recv(c->fd, c->head + c->length, sizeof c->head - 1 - c->length, 0);
      if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
      c->length += n;
      c->head[c->length] = 0;
      if (!strstr(c->head, "\r\n\r\n")) return 1;
      c->state = HANDSHAKE;
      return strncmp(c->head + 8, " 200", 4) ? -1 : 1;
    case HANDSHAKE:
      if (!c->ssl) {
        c->ssl = SSL_new(tls);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_tlsext_host_name(c->ssl, host);
        SSL_set1_host(c->ssl, host);
        SSL_set_connect_state(c->ssl);
      }
      n = SSL_do_handshake(c->ssl);
      if (n <= 0) return waits(c, n);
      c->state = WRITING;
      return 1;
    case WRITING:
      n = SSL_write(c->ssl, request, strlen(request));
      if (n <= 0) return waits(c, n);
      c->length = 0;
      c->state = HEAD;
      return 1;
    case HEAD:
      return read_head(c);
    case BODY:
      if (c->left > 0) {
        n = SSL_read(c->ssl, sink, c->left < (long long)sizeof sink ? c->left : (int)sizeof sink);
        if (n <= 0) return waits(c, n);
        c->left -= n;
        bytes += n;
      }
      if (c->left <= 0) done(c);
      return c->state == CONNECTING ? 0 : 1;
  }
  return -1;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 8) return 2;
  proxy = atoi(argv[1]);
  port = atoi(argv[2]);
  int clients = atoi(argv[5]);
  double seconds = atof(argv[6]);
  keep = !strcmp(argv[7], "keep");
  signal(SIGPIPE, SIG_IGN);
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: load\r\n"
           "Accept: */*\r\n\r\n", argv[4], host, port);
  snprintf(connect_request, sizeof connect_request,
           "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n\r\n", host, port, host, port);
  tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
  if (!SSL_CTX_load_verify_locations(tls, argv[3], NULL)) return 2;
  poller = epoll_create1(0);
  struct client *all = calloc(clients, sizeof *all);
  double first = now();
  cold = clients;
  for (int i = 0; i < clients; i++) begin(&all[i]);
  while (cold ? now() - first < 60 : now() - start < seconds) {
    struct epoll_event ready[256];
    int n = epoll_wait(poller, ready, 256, 100);
    for (int i = 0; i < n; i++) {
      struct client *c = ready[i].data.ptr;
      int went;
      while ((went = step(c)) > 0);
      if (went < 0) fail(c);
    }
  }
  double end_at = now();
  qsort(took, count, sizeof *took, ascending);
  double p50 = count ? took[count / 2] * 1e3 : 0, p99 = count ? took[count * 99 / 100] * 1e3 : 0;
  printf("%zu %.4f %lld %lld %.3f %.3f\n", count, end_at - start, bytes, errors, p50, p99);
}
