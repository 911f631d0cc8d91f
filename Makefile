# A fresh machine needs Python 3.11 or newer with its venv module, and make. Everything else is installed here.
.DEFAULT_GOAL := help
.PHONY: help demo run test bench soak lint lock audit fuzz verifier backup restore upgrade wheels compatible

PORT ?= 8000
JOBS ?= 3
# Kept bytecode is half of the start of a test process: not to be turned off by whoever builds containers.
export PYTHONDONTWRITEBYTECODE =
# The first Python that is new enough; where there is none, plain python3, so that the check below can say why not.
PYTHON ?= $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done),python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# A folder made by `make wheels` on a machine with a network; nothing else is asked for packages then.
WHEELS ?=

help: ## Liệt kê các lệnh / list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/requirements.txt ## Chạy trục thử với các cơ quan mô phỏng (PORT=8000) / a demo hub with simulated agencies
	@exec env PORT=$(PORT) $(BIN)/python -m fixtures.demo

run: .venv/requirements.txt ## Chạy trục theo các biến HUB_* / the hub with the settings of the environment
	@$(BIN)/python manage.py migrate --noinput --verbosity 0
	@exec $(BIN)/python manage.py runhub

test: lint ## Mọi kiểm tra và kiểm thử / lint, then every test
	$(BIN)/python -m pytest -n $(JOBS)
	@if $(BIN)/python -m tests.services; then HUB_TEST_ENGINE=production $(BIN)/python -m pytest -n $(JOBS); \
	elif [ "$$HUB_TEST_REQUIRE_ALL" = 1 ]; then exit 1; fi

bench: .venv/requirements-dev.txt ## Đo tốc độ so với mức sàn, trên cả hai cấu hình / speed beside its floor, on both set-ups (20 minutes; SIZE=1000000: the pages on so many deliveries)
	$(if $(SIZE),$(BIN)/python -m tests.bench.pages --deliveries $(SIZE),$(BIN)/python -m tests.bench)

audit: .venv/requirements-dev.txt ## Hỏi các lỗ hổng đã công bố của thư viện (cần mạng) / known vulnerabilities of the locked libraries (needs the network)
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.txt --format json --output var/audit.json; failed=$$?; \
	[ $$failed = 0 ] || [ -s var/audit.json ] || echo "KHÔNG KIỂM TRA ĐƯỢC: không lấy được dữ liệu lỗ hổng / NOT CHECKED: no advisory data could be had" >&2; \
	exit $$failed

fuzz: .venv/requirements.txt ## Dò lỗi cửa đọc gói tin theo độ phủ (SECONDS=60, cần mạng) / coverage-guided fuzzing of the gates
	@[ -x var/fuzz/bin/python ] || $(PYTHON) -m venv var/fuzz
	@var/fuzz/bin/python -m pip --disable-pip-version-check -qq install atheris $$(grep -oE '^lxml==[0-9.]+' requirements.txt)
	@mkdir -p var/fuzz/corpus
	var/fuzz/bin/python -m tests.security.fuzz_gates -max_total_time=$(or $(SECONDS),60) -timeout=10 -max_len=65536 \
		-artifact_prefix=var/fuzz/ var/fuzz/corpus fixtures/accepted

soak: .venv/requirements-dev.txt ## Mười nghìn văn bản trong khi các tiến trình bị kill -9 / ten thousand documents under kill -9 (half an hour)
	$(BIN)/python -m tests.failures.soak

lint: .venv/requirements-dev.txt ## Định dạng, kiểu, hướng import, migration còn thiếu / everything checked without running it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.migrations

backup: .venv/requirements.txt ## Sao lưu không dừng trục (TO=thư mục, KEY=khóa OpenPGP) / a backup of the running hub
	@$(BIN)/python manage.py backup $(if $(KEY),--encrypt-to "$(KEY)") $(if $(FULL),--full) "$(or $(TO),$(error TO=directory))"

restore: .venv/requirements.txt ## Phục hồi trên máy trống (FROM=thư mục) / a restore on an empty machine, docs/operations.md
	@$(BIN)/python manage.py restore "$(or $(FROM),$(error FROM=directory))"
	@$(BIN)/python manage.py verify_store
	@$(BIN)/python manage.py check_log || echo "→ manage.py open_new_log --incident '…' (docs/operations.md)"

upgrade: .venv/requirements.txt ## Nâng cấp: kiểm tra, sao lưu, migrate, khởi động lại, thử (TO=thư mục) / preflight to smoke test
	@$(BIN)/python manage.py upgrade --backup-to "$(or $(TO),$(error TO=directory for the backup))" $(if $(KEY),--encrypt-to "$(KEY)") --restart "$(or $(RESTART),systemctl restart hub.target)"

compatible: .venv/requirements-dev.txt ## Mã của bản trước chạy được trên lược đồ mới không (FROM=tag) / old code on the new schema
	@$(BIN)/python -m tests.compatible "$(or $(FROM),$(error FROM=tag))"

wheels: ## Thư mục wheels/ để cài không cần mạng / var/wheels, to install without a network (make WHEELS=var/wheels …)
	@$(PYTHON) -m pip --disable-pip-version-check -q download --require-hashes --no-deps -r requirements.txt -d var/wheels
	@ls var/wheels | wc -l

verifier: .venv/requirements.txt ## Đóng gói bộ kiểm tra thành một tệp / the offline verifier as one file, var/verify.pyz
	@rm -rf var/verifier && mkdir -p var/verifier/exchange/evidence
	@cp exchange/__init__.py var/verifier/exchange/ && cp exchange/evidence/*.py var/verifier/exchange/evidence/
	@printf 'import sys\nfrom exchange.evidence.verify import main\nsys.exit(main())\n' > var/verifier/__main__.py
	@$(BIN)/python -m zipapp var/verifier -o var/verify.pyz -p '/usr/bin/env python3' -c && echo var/verify.pyz

lock: ## Khóa lại phiên bản các thư viện (cần mạng) / lock the libraries anew (needs the network)
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(PYTHON) -m venv "$$tools"; "$$tools/bin/python" -m pip install --quiet uv; \
	compile="$$tools/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet"; \
	$$compile pyproject.toml -o requirements.txt; \
	$$compile --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt

# --- the virtual environment --------------------------------------------------------------------------------
# The lock last installed is kept inside .venv: a newer date of the same lock installs nothing.

.venv/requirements.txt: requirements.txt
	$(call build,$<,$@)

.venv/requirements-dev.txt: requirements-dev.txt requirements.txt
	$(call build,$<,$@)
	@cp requirements.txt .venv/requirements.txt

define build
	@$(check)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Tạo .venv / making .venv"; $(PYTHON) -m venv --clear .venv; }
	@cmp -s $(1) $(2) || { echo "Cài đặt $(1) / installing $(1)"; $(PIP) install $(if $(WHEELS),--no-index --find-links $(WHEELS)) --require-hashes --no-deps -r $(1); }
	@cp $(1) $(2)
endef

define check
command -v $(PYTHON) >/dev/null 2>&1 || { echo "Thiếu Python 3. Trên Debian/Ubuntu: sudo apt-get install python3 python3-venv / Python 3 is missing" >&2; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Cần Python 3.11 trở lên, máy này có $$($(PYTHON) -V 2>&1); hãy cài bản mới hơn hoặc chạy: make PYTHON=/đường/dẫn/python3.11 / Python 3.11 or newer is needed" >&2; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Thiếu python3-venv. Trên Debian/Ubuntu: sudo apt-get install python3-venv / python3-venv is missing" >&2; exit 1; }; \
$(PYTHON) -c 'import sqlite3, ssl' 2>/dev/null || { echo "Python này thiếu mô-đun sqlite3 hoặc ssl; hãy cài bản Python đầy đủ / this Python was built without sqlite3 or ssl" >&2; exit 1; }
endef
