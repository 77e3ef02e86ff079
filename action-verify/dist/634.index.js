export const id = 634;
export const ids = [634];
export const modules = {

/***/ 9995:
/***/ ((__unused_webpack_module, __webpack_exports__, __webpack_require__) => {

/* harmony export */ __webpack_require__.d(__webpack_exports__, {
/* harmony export */   MJ: () => (/* binding */ isSurelyUndone),
/* harmony export */   WG: () => (/* binding */ isPassing),
/* harmony export */   cU: () => (/* binding */ explainApiError),
/* harmony export */   gW: () => (/* binding */ askedDelay),
/* harmony export */   pb: () => (/* binding */ apiError)
/* harmony export */ });
/* unused harmony export isRateLimit */
/* harmony import */ var _base_errors_js__WEBPACK_IMPORTED_MODULE_0__ = __webpack_require__(4758);

/** @octokit calls what never got an answer a 500, too. */
function apiError(error) {
    const { status = 0, response } = (error ?? {});
    if (response === undefined)
        return { status: 0, message: (0,_base_errors_js__WEBPACK_IMPORTED_MODULE_0__/* .codeOf */ .$N)(causeOf(error)) ?? (0,_base_errors_js__WEBPACK_IMPORTED_MODULE_0__/* .messageOf */ .bD)(error), headers: {}, fields: [] };
    const { message, errors } = response.data ?? {};
    return {
        status,
        message: oneLine(typeof message === 'string' ? message : `HTTP ${status}`),
        headers: response.headers ?? {},
        fields: Array.isArray(errors) ? errors.flatMap(({ field }) => (typeof field === 'string' ? [field] : [])) : [],
    };
}
function causeOf(error) {
    const { cause } = (error ?? {});
    return cause === undefined ? error : causeOf(cause);
}
function oneLine(text) {
    return text.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
}
/** Whether the answer is that there were too many requests: 429, or a 403 that says so in one of its ways. */
function isRateLimit({ status, message, headers }) {
    if (status === 429)
        return true;
    const says = headers['retry-after'] !== undefined || headers['x-ratelimit-remaining'] === '0';
    return status === 403 && (says || /rate limit|abuse/i.test(message));
}
/** Whether the same request may be answered otherwise in a moment. */
function isPassing(error) {
    return error.status === 0 || error.status >= 500 || isRateLimit(error);
}
/** Whether what was asked for was surely not done: then even a comment can be asked for again. */
function isSurelyUndone(error) {
    return isRateLimit(error) || error.status === 503;
}
/**
 * How long GitHub wants to be left alone, in milliseconds; undefined where it does not say. Where a limit is hit and no
 * time is given it is a minute (docs.github.com, rate limits for the REST API).
 */
function askedDelay(error, now) {
    const { headers } = error;
    const seconds = Number(headers['retry-after']);
    if (headers['retry-after'] !== undefined && Number.isFinite(seconds))
        return Math.max(0, seconds * 1_000);
    if (!isRateLimit(error))
        return undefined;
    const reset = Number(headers['x-ratelimit-reset']);
    const isSpent = headers['x-ratelimit-remaining'] === '0' && Number.isFinite(reset);
    return isSpent ? Math.max(0, reset * 1_000 - now.getTime()) : 60_000;
}
const UNAVAILABLE = 'See githubstatus.com, and let this runner reach the API (HTTPS_PROXY, firewall); the next run tries again.';
/**
 * The error as one that says what to do. `what` was tried: `list the issues`; codes of what every call can meet begin with
 * the `kind` of things that it is about: `issues`.
 */
function explainApiError(error, { kind, what, repository, refusal }) {
    if (error instanceof _base_errors_js__WEBPACK_IMPORTED_MODULE_0__/* .LifeboatError */ .H3)
        return error;
    const answer = apiError(error);
    const say = (code, why, remedy) => new _base_errors_js__WEBPACK_IMPORTED_MODULE_0__/* .LifeboatError */ .H3(code, `Cannot ${what} of ${repository}: ${why}`, remedy, { cause: error });
    const { status, message } = answer;
    if (status === 0)
        return say(`${kind}-unreachable`, `GitHub gave no answer (${message})`, UNAVAILABLE);
    if (status >= 500)
        return say(`${kind}-unavailable`, `GitHub is in trouble (HTTP ${status})`, UNAVAILABLE);
    if (isRateLimit(answer)) {
        const remedy = 'Nothing: the next run tries again.';
        return say(`${kind}-rate-limited`, `GitHub wants fewer requests (${message})`, remedy);
    }
    const [code, why, remedy] = refusal(answer);
    return say(code, why, remedy);
}


/***/ }),

/***/ 389:
/***/ ((__unused_webpack_module, __webpack_exports__, __webpack_require__) => {

/* harmony export */ __webpack_require__.d(__webpack_exports__, {
/* harmony export */   WQ: () => (/* binding */ whole),
/* harmony export */   yN: () => (/* binding */ GitHubApi)
/* harmony export */ });
/* unused harmony export API_PATIENCE */
/* harmony import */ var _actions_github__WEBPACK_IMPORTED_MODULE_0__ = __webpack_require__(2413);
/* harmony import */ var _api_errors_js__WEBPACK_IMPORTED_MODULE_1__ = __webpack_require__(9995);


const API_PATIENCE = { total: 60_000, request: 15_000, firstDelay: 1_000 };
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
/**
 * Asks GitHub, or a server of one's own, about one repository through @actions/github, which honours the proxy variables.
 * Asks again, with growing delays, what failed for a moment; gives up once a minute is spent over all.
 */
class GitHubApi {
    rest;
    /** The repository, as calls name it. */
    place;
    #options;
    #explain;
    #patience;
    #deadline;
    /** `explain`: how `explainApiError` is to tell what went wrong. */
    constructor(options, explain) {
        const [owner = '', repo = ''] = options.repository.split('/');
        this.rest = (0,_actions_github__WEBPACK_IMPORTED_MODULE_0__/* .getOctokit */ .Q)(options.token, { baseUrl: options.apiUrl, log: SILENT }).rest;
        this.place = { owner, repo };
        this.#options = options;
        this.#explain = explain;
        this.#patience = options.patience ?? API_PATIENCE;
        this.#deadline = options.clock.now().getTime() + this.#patience.total;
    }
    /** One request, and those that follow it while it fails for a moment and there is time. Rejects as `explainApiError` says. */
    async ask(what, send, { repeatable = true } = {}) {
        const { clock, log, signal, repository } = this.#options;
        for (let attempt = 1;; attempt += 1) {
            signal.throwIfAborted();
            const left = this.#deadline - clock.now().getTime();
            try {
                return await send({ signal: AbortSignal.any([signal, AbortSignal.timeout(this.#limit(left))]) });
            }
            catch (error) {
                signal.throwIfAborted();
                const answer = (0,_api_errors_js__WEBPACK_IMPORTED_MODULE_1__/* .apiError */ .pb)(error);
                const delay = (0,_api_errors_js__WEBPACK_IMPORTED_MODULE_1__/* .askedDelay */ .gW)(answer, clock.now()) ?? this.#patience.firstDelay * 2 ** (attempt - 1);
                const again = repeatable ? (0,_api_errors_js__WEBPACK_IMPORTED_MODULE_1__/* .isPassing */ .WG)(answer) : (0,_api_errors_js__WEBPACK_IMPORTED_MODULE_1__/* .isSurelyUndone */ .MJ)(answer);
                if (!again || clock.now().getTime() + delay >= this.#deadline) {
                    throw (0,_api_errors_js__WEBPACK_IMPORTED_MODULE_1__/* .explainApiError */ .cU)(error, { ...this.#explain, what, repository });
                }
                log.debug(`cannot ${what}: ${answer.status} ${answer.message}; trying again in ${(delay / 1_000).toFixed(1)} s`);
                await clock.sleep(delay, signal);
            }
        }
    }
    #limit(left) {
        return Math.max(1, Math.min(left, this.#patience.request));
    }
}
/** Of an answer that was cut off @octokit makes a text. */
function whole(data) {
    if (typeof data !== 'object' || data === null)
        throw new Error('the answer is cut off');
    return data;
}


/***/ }),

/***/ 8634:
/***/ ((__unused_webpack_module, __webpack_exports__, __webpack_require__) => {


// EXPORTS
__webpack_require__.d(__webpack_exports__, {
  lookAtWorkflows: () => (/* binding */ lookAtWorkflows)
});

// EXTERNAL MODULE: ./src/github/api-errors.ts
var api_errors = __webpack_require__(9995);
// EXTERNAL MODULE: ./src/github/github-api.ts
var github_api = __webpack_require__(389);
;// CONCATENATED MODULE: ./src/github/workflow-errors.ts
const PERMISSION = 'Add the line `actions: read` below `permissions:` of the job (what else it needs stays there), or take the workflows out of `watch-workflows`.';
/** What it means that GitHub refuses what was asked about workflows. */
const explainWorkflowRefusal = ({ status, message }) => {
    const said = `${message} (HTTP ${status})`;
    if (status === 401) {
        const remedy = 'Leave `github-token` out, then the job’s own token is used, or give one that is valid.';
        return ['workflows-token-refused', `the token was refused: ${said}`, remedy];
    }
    if (status === 403)
        return ['workflows-forbidden', said, PERMISSION];
    if (status === 404)
        return ['workflows-not-found', `the token may not see it: ${said}`, PERMISSION];
    return ['workflows-refused', said, 'Please report it, with the log: GitHub understood the request otherwise.'];
};

;// CONCATENATED MODULE: ./src/github/github-workflows.ts



/** A pull request's run fails for reasons of its own, and somebody looks at it. */
const EVENTS = ['schedule', 'workflow_dispatch', 'repository_dispatch', 'workflow_run'];
const PAGE = 30;
const MOST_PAGES = 3;
/**
 * Looks at workflows of a repository, named by their files: whether GitHub starts them, and how each last ended. Rejects with
 * a LifeboatError that says what to do where GitHub does not answer, or not to this token.
 */
async function lookAtWorkflows(files, options) {
    const api = new github_api/* GitHubApi */.yN(options, { kind: 'workflows', refusal: explainWorkflowRefusal });
    const watched = [];
    for (const file of files) {
        const isOwn = file === options.own.workflowFile;
        const state = await stateOf(api, file);
        const lastRun = state === undefined || isOwn ? undefined : await lastRunOf(api, file, options.own);
        watched.push({ file, isOwn, ...(state !== undefined && { state }), ...(lastRun && { lastRun }) });
    }
    return watched;
}
function stateOf(api, file) {
    return api.ask(`look at the workflow ${file}`, async (request) => {
        try {
            return (0,github_api/* whole */.WQ)((await api.rest.actions.getWorkflow({ ...api.place, workflow_id: file, request })).data).state;
        }
        catch (error) {
            if ((0,api_errors/* apiError */.pb)(error).status !== 404)
                throw error;
            return undefined;
        }
    });
}
/** Event by event: a busy workflow may have run for a thousand pull requests since it last ran on its schedule. */
async function lastRunOf(api, file, own) {
    const runs = [];
    for (const event of EVENTS)
        runs.push(...(await runsOf(api, file, event, own)));
    const newestUnderWay = Math.max(...runs.filter(({ status }) => status !== 'completed').map((run) => run.run_number));
    // GitHub cancels a run that waits where a newer one comes to wait: then the newer one is to tell.
    const gaveWay = (run) => run.conclusion === 'cancelled' && run.run_number < newestUnderWay;
    // A run that is started again keeps its number: what was mended so is mended.
    const [newest] = runs.filter((run) => hasEnded(run) && !gaveWay(run)).toSorted((a, b) => b.run_number - a.run_number);
    return newest && toEndedRun(newest);
}
/** The newest ones, as far back as there is one that tells something. On the default branch, as schedules are: others are tries. */
async function runsOf(api, file, event, own) {
    const branch = own.defaultBranch === undefined ? {} : { branch: own.defaultBranch };
    const runs = [];
    for (let page = 1; page <= MOST_PAGES; page += 1) {
        const listed = await api.ask(`list the runs of the workflow ${file}`, async (request) => {
            const which = { workflow_id: file, event, ...branch, exclude_pull_requests: true, per_page: PAGE, page };
            return (0,github_api/* whole */.WQ)((await api.rest.actions.listWorkflowRuns({ ...api.place, ...which, request })).data).workflow_runs;
        });
        runs.push(...listed.filter(({ id }) => String(id) !== own.runId));
        if (listed.length < PAGE || runs.some((run) => hasEnded(run) && run.conclusion !== 'cancelled'))
            break;
    }
    return runs;
}
/** One whose jobs were all skipped has done nothing, good or bad. */
function hasEnded({ status, conclusion }) {
    return status === 'completed' && conclusion !== 'skipped';
}
function toEndedRun({ run_started_at, created_at, conclusion, html_url }) {
    return { startedAt: new Date(run_started_at ?? created_at), conclusion: conclusion ?? 'unknown', url: html_url };
}


/***/ })

};
