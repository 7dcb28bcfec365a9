# `make demo` and `make test` need Python 3.11 or later and nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test tests check guide schemas bench soak fuzz install uninstall package requirements vulnerabilities node-parts viewer python-parts clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

demo: $(VENV)/installed  ## a populated gateway on http://localhost:8200, until Ctrl-C
	@exec $(BIN)/dsgctl demo

test: check tests  ## all checks and tests

tests: $(VENV)/tested  ## all tests, without the checks
	$(BIN)/python -m pytest -n auto --dist worksteal

bench: $(VENV)/tested  ## measure: ratios within one run, printed and written to bench.json; needs wrk and nginx
	$(BIN)/python -m tests.bench --json bench.json

soak: $(VENV)/tested  ## kill writers at random moments for SECONDS=3600, and check each time that no change is lost or partial
	$(BIN)/python -m tests.e2e.soak $(or $(SECONDS),3600)

fuzz: $(VENV)/tested  ## search for bytes that make a parser fail, SECONDS=60 for each parser
	for name in $$($(BIN)/python -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)'); do \
	  $(BIN)/python -m tests.fuzz $$name -max_total_time=$(or $(SECONDS),60) -max_len=4096 -rss_limit_mb=1500 || exit 1; \
	done

check: $(VENV)/tested  ## lint, types, and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

guide: $(VENV)/tested  ## write the generated pages of the manual
	$(BIN)/python -m tests.generated_pages

schemas: $(VENV)/tested  ## dump the schema of every migration into tests/fixtures/schemas, for the tests of upgrades
	$(BIN)/python -m tests.dsgctl.store.schema_dumps

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# The directories of `make install`. DESTDIR is another root than /, for packages.
PREFIX ?= /opt/dsg
DESTDIR ?=
UNITS := $(wildcard systemd/*.service systemd/*.socket systemd/*.timer)
HERE := $(DESTDIR)$(PREFIX)
# The system's Python by default: the service's user cannot use one below a home directory.
INSTALL_PYTHON := $(if $(filter file,$(origin PYTHON)),$(firstword $(wildcard /usr/bin/python3) $(PYTHON)),$(PYTHON))

# Whether to change users and systemd of this host: not with DESTDIR.
LIVE ?= $(if $(DESTDIR),,yes)
SYSTEMD := /run/systemd/system

.SILENT: install uninstall

install:  ## as root: programs in PREFIX, units, completion, and the directories of settings and database
	echo "installing into $(HERE) ..."
	base='import ssl, sys; print(sys.base_prefix, sys.version_info[:2])'; \
	if [ "$$($(HERE)/bin/python -c "$$base" 2> /dev/null)" != "$$($(INSTALL_PYTHON) -c "$$base")" ]; then clear=--clear; fi; \
	$(INSTALL_PYTHON) -m venv $$clear $(HERE)
	$(HERE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .requirements.txt
	$(HERE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps .
	sed --in-place 's,$(HERE)/bin/python,$(PREFIX)/bin/python,' $(HERE)/bin/dsgctl $(HERE)/bin/dsgserve
	install -d $(DESTDIR)/usr/local/bin $(DESTDIR)/etc/systemd/system $(DESTDIR)/etc/sudoers.d \
	  $(DESTDIR)/usr/share/bash-completion/completions $(HERE)/share/doc/dsg/dsgctl/guide \
	  $(HERE)/share/doc/dsg/dsgserve $(HERE)/share/nginx
	ln -sf $(PREFIX)/bin/dsgctl $(PREFIX)/bin/dsgserve $(DESTDIR)/usr/local/bin/
	for unit in $(UNITS); do \
	  sed 's,/opt/dsg/,$(PREFIX)/,' "$$unit" > $(DESTDIR)/etc/systemd/system/"$${unit#systemd/}" || exit 1; \
	done
	install -m 440 systemd/dsg.sudoers $(DESTDIR)/etc/sudoers.d/dsg
	install -m 644 nginx/* $(HERE)/share/nginx/
	install -m 644 README.md CHANGELOG.md LICENSE $(HERE)/share/doc/dsg/
	install -m 644 dsgctl/guide/*.md $(HERE)/share/doc/dsg/dsgctl/guide/
	install -m 644 dsgserve/contract.md dsgserve/contract-services.md $(HERE)/share/doc/dsg/dsgserve/
	PYTHONPATH=. $(HERE)/bin/python -m dsgctl completion bash > $(DESTDIR)/usr/share/bash-completion/completions/dsgctl
	$(if $(DESTDIR),,getent passwd dsg > /dev/null || useradd --system --user-group --home-dir /var/lib/dsg --no-create-home --shell /usr/sbin/nologin dsg)
	$(if $(DESTDIR),,getent group dsg-operators > /dev/null || groupadd --system dsg-operators)
	install -d -m 750 $(if $(DESTDIR),,-o root -g dsg) $(DESTDIR)/etc/dsg
	install -d -m 2770 $(if $(DESTDIR),,-o dsg -g dsg) $(DESTDIR)/var/lib/dsg
	$(if $(DESTDIR),,runuser -u dsg -- $(PREFIX)/bin/dsgctl --version > /dev/null || { \
	  echo "the user dsg may not run $$(readlink -f $(PREFIX)/bin/python): make install PYTHON=/usr/bin/python3"; exit 1; })
	if [ "$(LIVE)" ] && [ -d $(SYSTEMD) ]; then systemctl daemon-reload; fi
	echo "installed $$($(HERE)/bin/python -I -m dsgctl --version)"
	if [ -e $(DESTDIR)/etc/dsg/dsg.env ]; then \
	  echo "next: dsgctl db migrate && systemctl restart 'dsgserve*.service' && dsgctl doctor"; \
	else echo "next: dsgctl setup"; fi

# All running units, instances too, are stopped together: a remaining socket would start its server again.
uninstall:  ## stop and disable the units; the settings in /etc/dsg and the database in /var/lib/dsg remain
	if [ "$(LIVE)" ] && [ -d $(SYSTEMD) ]; then \
	  units=$$(systemctl list-units --all --plain --no-legend 'dsgserve*' 'dsg-*' | cut -d ' ' -f 1); \
	  if [ "$$units" ]; then systemctl stop $$units; fi; \
	fi
	for unit in $(patsubst systemd/%,%,$(UNITS)); do \
	  find $(DESTDIR)/etc/systemd/system -path '*.wants/*' -type l \( -name "$$unit" -o -name "$${unit%@.*}@*" \) -delete; \
	done
	rm -rf $(HERE)
	rm -f $(DESTDIR)/usr/local/bin/dsgctl $(DESTDIR)/usr/local/bin/dsgserve $(DESTDIR)/etc/sudoers.d/dsg \
	  $(DESTDIR)/usr/share/bash-completion/completions/dsgctl \
	  $(patsubst systemd/%,$(DESTDIR)/etc/systemd/system/%,$(UNITS))
	if [ "$(LIVE)" ] && [ -d $(SYSTEMD) ]; then systemctl daemon-reload; systemctl reset-failed 'dsgserve*' 'dsg-*'; fi
	echo "uninstalled; left are $(DESTDIR)/etc/dsg, $(DESTDIR)/var/lib/dsg, the user dsg, and what 'systemctl edit' made"

package: $(VENV)/tested  ## a wheel, in dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

requirements: $(VENV)/installed  ## renew .requirements.txt: the versions and hashes of `make install`
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --upgrade --output-file .requirements.txt

vulnerabilities: $(VENV)/tested  ## look up known vulnerabilities of .requirements.txt at osv.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --vulnerability-service osv $(OSV) --requirement .requirements.txt

node-parts: tests/e2e/node/node_modules  ## the npm packages of the end-to-end tests; without them some tests are skipped

tests/e2e/node/node_modules: tests/e2e/node/package.json
	cd tests/e2e/node && npm install --no-audit --no-fund --no-package-lock
	@touch $@

viewer: tests/e2e/viewer/dist/index.html  ## the real Neuroglancer, for tests/e2e/test_neuroglancer.py; needs chromium too

tests/e2e/viewer/dist/index.html: tests/e2e/viewer/package.json tests/e2e/viewer/vite.config.js tests/e2e/viewer/main.js
	cd tests/e2e/viewer && npm install --no-audit --no-fund --no-package-lock && npm run build

python-parts: .venv-parts/installed  ## the Python clients of the end-to-end tests; without them some tests are skipped

.venv-parts/installed: tests/e2e/python/requirements.txt
	$(PYTHON) -m venv --clear .venv-parts
	.venv-parts/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

clean:  ## delete what was built and installed here
	rm -rf .venv .venv-newest .venv-parts tests/e2e/*/node_modules tests/e2e/viewer/dist build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
