# Two images: `worker`, with both programs, and `nginx`, with the site.
#
#     docker build --target worker --tag provider-client .
#     docker build --target nginx --tag provider-client-nginx .
#
# compose.yaml builds and runs both. Base images are arguments, for users with copies of their own.
ARG SWIFT_IMAGE=swift:6.3-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim
ARG NGINX_IMAGE=nginx:1.28-bookworm
# Where the programs come from: `build` compiles them, `prebuilt` takes those that `make build` left in .build/release.
ARG PROGRAMS=build

FROM ${SWIFT_IMAGE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libcurl4-openssl-dev libexpat1-dev libfcgi-dev libyaml-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Package.swift ./
COPY Sources Sources
# The manifest names the tests' targets, which no program needs: their folders have to be there, empty.
RUN for target in TestSupport Soak ProviderHandlersTests EndToEndTests; do \
        mkdir -p "Tests/$target" && echo > "Tests/$target/Empty.swift" || exit; \
    done \
    && swift build -c release --static-swift-stdlib --product provider-fcgi \
    && swift build -c release --static-swift-stdlib --product provider-reporter \
    && mkdir /programs \
    && strip -o /programs/provider-fcgi .build/release/provider-fcgi \
    && strip -o /programs/provider-reporter .build/release/provider-reporter

FROM scratch AS prebuilt
COPY .build/release/provider-fcgi .build/release/provider-reporter /programs/

FROM ${PROGRAMS} AS programs

FROM ${DEBIAN_IMAGE} AS worker
# libfcgi-bin has cgi-fcgi, which asks the worker for the health check: there is no nginx in here.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates libcurl4 libexpat1 libfcgi-bin libfcgi0ldbl libstdc++6 libyaml-0-2 \
    && rm -rf /var/lib/apt/lists/*
# The group is nginx's, in its image: the socket has mode 0660 and the group of the process that makes it.
ARG UID=10001
ARG GID=101
RUN install -d -o "${UID}" -g "${GID}" -m 0750 /run/provider-client /run/provider-scoreboard
COPY --from=programs /programs/ /usr/bin/
USER ${UID}:${GID}
# Anything but a 200 is a failure, and so is no answer. /busy rather than /health: a worker whose engine is down is not
# mended by restarting the worker.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD REQUEST_METHOD=GET DOCUMENT_URI=/busy cgi-fcgi -bind -connect /run/provider-client/fcgi.sock \
        | grep -q '^Status: 200'
# Requests in flight finish first, for at most server.drain_timeout.
STOPSIGNAL SIGTERM
CMD ["provider-fcgi"]

FROM ${NGINX_IMAGE} AS nginx
COPY containers/nginx.conf /etc/nginx/nginx.conf
COPY nginx/provider-http.conf /etc/nginx/conf.d/00-provider-http.conf
COPY nginx/provider-locations.conf nginx/provider-worker.conf nginx/provider-headers.conf nginx/provider-limits.conf \
    nginx/provider-tunnel.conf nginx/provider-errors.conf nginx/provider-log.conf /etc/nginx/snippets/
COPY nginx/provider.conf nginx/provider-status.conf /etc/nginx/provider/
COPY nginx/status /usr/share/provider-client/status
# A container's loopback is its own, and its logs go to its standard output.
RUN sed -i 's|listen 127.0.0.1:8080;|listen 8080;|' /etc/nginx/provider/provider.conf \
    && sed -i 's|listen 127.0.0.1:9180|listen 9180|' /etc/nginx/provider/provider-status.conf \
    && sed -i 's|/var/log/nginx/provider.access.log|/dev/stdout|' /etc/nginx/snippets/provider-log.conf \
    && grep -q 'listen 8080;' /etc/nginx/provider/provider.conf \
    && grep -q 'listen 9180 default_server;' /etc/nginx/provider/provider-status.conf \
    && grep -q 'access_log /dev/stdout' /etc/nginx/snippets/provider-log.conf
ARG NGINX_UID=101
ARG GID=101
USER ${NGINX_UID}:${GID}
EXPOSE 8080 9180
STOPSIGNAL SIGQUIT
ENTRYPOINT []
CMD ["nginx", "-e", "/dev/stderr", "-g", "daemon off;"]
