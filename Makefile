# SalesMagnet. `make` alone lists what there is.
# All paths are relative, so that a checkout may lie in a folder with a space in its name.

.DEFAULT_GOAL := help
.PHONY: help run test check bench faults demo-reset fmt clean

SERVERS := .venv/bin/python -m crm.embedded

help: ## show this list
	@grep -E '^[a-z-]+: ## ' Makefile | sed 's/: ## /|/' | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

run: ## start everything with demo data on http://localhost:3000 (PORT=... for another); Ctrl-C stops it
	@.ci/environment runtime
	@$(SERVERS) run

test: ## run the whole suite, browser tests included (ARGS="..." for pytest)
	@.ci/environment dev
	@CHROMIUM="$$(.ci/chromium)" && export CHROMIUM && $(SERVERS) test -- -n auto $(ARGS)

check: ## run every other check: style, types, contracts, migrations, templates, API description
	@.ci/environment dev
	@$(SERVERS) --kind test exec -- .ci/check

bench: ## measure against a tenant with a million leads (ARGS="..." for the benchmark)
	@.ci/environment bench
	@$(SERVERS) bench -- $(ARGS)

faults: ## kill web, workers, broker and database in turn under a flood of leads, and count (ARGS="--arrivals 5000 --every 10")
	@.ci/environment dev
	@$(SERVERS) --kind bench exec -- .venv/bin/python -m bench.faults $(ARGS)

demo-reset: ## throw the demo data away and load it anew
	@.ci/environment runtime
	@$(SERVERS) reset-demo

fmt: ## format the code and mend what can be mended
	@.ci/environment dev
	@.venv/bin/python -m ruff check --fix --quiet . || true
	@.venv/bin/python -m ruff format .

clean: ## delete caches and the servers of tests and benchmarks; the data of `make run` stays
	@if [ -x .venv/bin/python ]; then $(SERVERS) clean; fi
	@rm -rf .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache htmlcov
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
