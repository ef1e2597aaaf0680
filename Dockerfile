# syntax=docker/dockerfile:1

# This Dockerfile has a target for each program:
#   docker build --target envladder-webhook --build-arg VERSION=$(git describe --tags --always) .
# The programs are statically linked and run as a user without a name.

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=devel
ENV CGO_ENABLED=0
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    mkdir /out && GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
      -ldflags "-s -w -X github.com/envladder/envladder/internal/cli.version=$VERSION" -o /out/ ./cmd/...

# In addition to a program: the CA certificates for registries and forges.
FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65532:65532

FROM base AS envladder-webhook
COPY --from=build /out/envladder-webhook /
ENTRYPOINT ["/envladder-webhook"]

FROM base AS envladder-observer
COPY --from=build /out/envladder-observer /
ENTRYPOINT ["/envladder-observer"]

FROM base AS envladder-appset
COPY --from=build /out/envladder-appset /
ENTRYPOINT ["/envladder-appset"]

# Runs as the repo-server's user, which owns the folder of the plugins' sockets.
FROM base AS envladder-plugin
COPY --from=build /out/envladder-plugin /
USER 999:999
ENTRYPOINT ["/envladder-plugin"]
CMD ["serve"]

# The command line, with git for promotions.
FROM debian:stable-slim AS envladder
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 65532 --create-home envladder
COPY --from=build /out/envladder /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["envladder"]
