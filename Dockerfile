# The image of authz. `make image` builds it, prints its size and holds it to its limit; by hand:
#   docker build --target authz --tag authz:local .
#
#   BASE        Debian with Python 3.11, for the result
#   BUILD_BASE  the same with pip and venv, for the stage that installs; nothing of that stage but /opt/authz is kept
#   COMPILED    1: the modules that each check runs through compiled to C; the compiler stays in the stage that installs
#   VERSION, REVISION   labels
#   PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_TRUSTED_HOST   where packages come from, if not from pip's default
# Behind a proxy that opens TLS, put its CA bundle at deploy/image/ca-bundle.crt before (make image CA_BUNDLE=FILE
# does it): the building stage trusts it, the result never holds it.
ARG BASE=python:3.11-slim-bookworm
ARG BUILD_BASE=${BASE}

FROM ${BUILD_BASE} AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /build
COPY deploy/image/ deploy/image/
COPY pyproject.toml constraints.txt ./
# What changes seldom first: the packages (without those that only operators' commands use), then the service.
RUN deploy/image/install dependencies /opt/authz project cel fast redis spiffe && deploy/image/install beside /opt/demo demo
ARG COMPILED
COPY deploy/compiled/compiler deploy/compiled/
RUN deploy/image/install compiler /opt/authz
COPY README.md LICENSE ./
COPY docs/faults/ docs/faults/
COPY authz/ authz/
RUN deploy/image/install itself /opt/authz

FROM ${BASE} AS service
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="authz" \
      org.opencontainers.image.description="External authorization for Envoy" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --system --gid 10001 authz && \
    useradd --system --uid 10001 --gid authz --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin authz && \
    install --directory --owner authz --group authz --mode 0750 /etc/authz /run/authz
ENV PATH=/opt/authz/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A file authz.yaml here is read; so are AUTHZ_… variables and the flags of `authz serve`.
WORKDIR /etc/authz
USER 10001:10001

COPY --from=build /opt/authz /opt/authz
EXPOSE 9000 9001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["authz", "health"]
ENTRYPOINT ["authz"]
CMD ["serve"]

# The worked example's services, provider and certificate authority: no part of what anybody deploys.
FROM service AS store
COPY --from=build /opt/demo /opt/demo
COPY examples/ /opt/store/examples/
COPY envoy/ /opt/store/envoy/
USER root
# A volume that is mounted here for the first time takes over its folder's owner.
RUN for name in ca public callers secrets audit bundles authz redis redis-data idp partner-idp gateway frontend orders \
      payments inventory user-profile spire-server spire-data spire-agent-edge spire-agent-shop spire-edge spire-shop; \
    do install --directory --owner authz --group authz --mode 0770 "/store/$name"; done
USER 10001:10001
ENV PYTHONPATH=/opt/store:/opt/demo
WORKDIR /opt/store
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m"]
CMD ["examples.store.containers.walk"]

# The last stage is what a build without --target gives.
FROM service AS authz
