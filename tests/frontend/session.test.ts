/** A form that is sent after the session ended waits, and goes with the new sign-in's token. */

import { json } from "@/lib/api";
import { h, need } from "@/lib/dom";
import * as session from "@/lib/session";

const form = (): HTMLFormElement => need(document, "form");
const token = (): string => need<HTMLInputElement>(document, '[name="csrfmiddlewaretoken"]').value;
const sent = vi.fn();
/** false: it stays on the page */
const submit = (): boolean => form().dispatchEvent(new SubmitEvent("submit", { bubbles: true, cancelable: true, submitter: need<HTMLElement>(document, "#go") }));

beforeAll(() => { session.start(); });
beforeEach(() => {
  document.head.replaceChildren(h("meta", { name: "csrf-cookie", content: "csrf" }));
  document.body.replaceChildren(
    h("div", { id: "notices", "hx-get": "/notices/" }),
    h("div", { id: "banners" }),
    h("div", { id: "toasts" }),
    h("form", { method: "post" }, h("input", { type: "hidden", name: "csrfmiddlewaretoken", value: "old" }), h("textarea", { name: "script" }, "precious"), h("button", { id: "go", name: "act", value: "run" })),
  );
  form().requestSubmit = sent;
  sent.mockClear();
});
afterEach(() => vi.unstubAllGlobals());

describe("a form", () => {
  it("goes with the token of the latest sign-in", () => {
    document.cookie = "csrf=fresh";
    expect(submit()).toBe(true);
    expect(token()).toBe("fresh");
  });

  it("is kept while the session is over, and goes once somebody signed in again", async () => {
    const answered = vi.fn(() => Promise.resolve(new Response("Your session has ended.", { status: 401 })));
    vi.stubGlobal("fetch", answered);
    document.dispatchEvent(new CustomEvent("rcluster:session-ended"));
    expect(submit()).toBe(false);
    await vi.waitFor(() => { expect(document.querySelector(".toast")?.textContent).toContain("Not sent: your session has ended."); });
    expect(document.querySelector("#session-ended a")?.getAttribute("href")).toContain("/login/?next=");
    expect(sent).not.toHaveBeenCalled();
    expect(form().querySelector("textarea")?.value).toBe("precious");

    answered.mockResolvedValue(new Response(""));
    expect(submit()).toBe(false);
    await vi.waitFor(() => { expect(sent).toHaveBeenCalledWith(document.querySelector("#go")); });
    expect(document.querySelector("#session-ended")).toBeNull();
    expect(submit()).toBe(true);
  });

  it("that a script sends itself, or that only asks, is left alone", () => {
    document.dispatchEvent(new CustomEvent("rcluster:session-ended"));
    form().setAttribute("method", "get");
    expect(submit()).toBe(true);
    form().setAttribute("method", "post");
    form().addEventListener("submit", (event) => { event.preventDefault(); });
    const answered = vi.fn();
    vi.stubGlobal("fetch", answered);
    submit();
    expect(answered).not.toHaveBeenCalled();
  });
});

describe("a request after the end", () => {
  it("says it in the page's words, not the API's", async () => {
    const answer = new Response(JSON.stringify({ detail: "Sign in, or send a token: Authorization: Bearer ..." }), { status: 401 });
    vi.stubGlobal("fetch", vi.fn(() => Promise.resolve(answer)));
    await expect(json("/api/v1/tasks")).rejects.toThrow("Your session has ended. Sign in again in another tab, then repeat this.");
  });
});
