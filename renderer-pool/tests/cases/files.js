// The File API and FormData.
import assert from "node:assert";

export default {
  "Blob: parts, slices, readers, streams": async () => {
    const blob = new Blob(["a", new Uint8Array([98]), new Blob(["c"]), new Uint16Array([100]).buffer], { type: "Text/Plain" });
    assert.deepEqual([blob.size, blob.type], [5, "text/plain"]);
    assert.equal(await blob.slice(1, 3, "x/y").text(), "bc");
    assert.equal(await blob.slice(-2, -1).text(), "d");
    assert.deepEqual([...(await blob.bytes())], [97, 98, 99, 100, 0]);
    let size = 0;
    for await (const chunk of blob.stream()) size += chunk.length;
    assert.equal(size, 5);
  },
  "Blob: line endings and types that are none": () => {
    assert.equal(new Blob([], { type: "\u00e9" }).type, "");
    assert.throws(() => new Blob("text"), TypeError);
    assert.throws(() => new Blob([], { endings: "other" }), TypeError);
  },
  "File: name, time, and it is a Blob": async () => {
    const file = new File(["x"], "a/b.txt", { type: "text/plain", lastModified: 5 });
    assert.deepEqual([file.name, file.lastModified, file.size, file instanceof Blob], ["a/b.txt", 5, 1, true]);
    assert.throws(() => new File(["x"]), TypeError);
  },
  "FormData: order, several of a name, files": () => {
    const form = new FormData();
    form.append("a", "1");
    form.append("b", new Blob(["x"]), "b.bin");
    form.append("a", 2);
    assert.deepEqual(form.getAll("a"), ["1", "2"]);
    assert.deepEqual([form.get("b").name, form.get("b") instanceof File, form.get("none")], ["b.bin", true, null]);
    form.set("a", "3");
    assert.deepEqual([...form.keys()], ["a", "b"]);
    form.delete("b");
    assert.equal(form.has("b"), false);
  },
  "FormData: a file's name without a file is a TypeError": () => {
    const form = new FormData();
    assert.throws(() => form.append("a", "1", "name"), TypeError);
    assert.throws(() => form.set("a", "1", "name"), TypeError);
    assert.deepEqual([...form], []);
  },
  "multipart: contents and names of any language survive": async () => {
    const form = new FormData();
    form.append("lines", "line\nline\r\n");
    form.append("empty", "");
    form.append("\u00e9", new File([new Uint8Array([0, 13, 10, 45, 45])], "\u20ac.bin"));
    const read = await new Response(form).formData();
    assert.deepEqual([...read.keys()], ["lines", "empty", "\u00e9"]);
    assert.equal(read.get("lines"), "line\r\nline\r\n");
    const file = read.get("\u00e9");
    assert.deepEqual([file.name, file.type, [...(await file.bytes())]], ["\u20ac.bin", "application/octet-stream", [0, 13, 10, 45, 45]]);
  },
  "multipart: names with quotes and line ends survive": async () => {
    const form = new FormData();
    form.append('quo"te\r\n', "");
    assert.deepEqual([...(await new Response(form).formData()).keys()], ['quo"te\r\n']);
  },
  "multipart: names with semicolons and equals signs survive": async () => {
    const form = new FormData();
    form.append("a;b=c", new Blob(["x"]), "d;e=f;.txt");
    const [[name, file]] = await new Response(form).formData();
    assert.deepEqual([name, file.name, await file.text()], ["a;b=c", "d;e=f;.txt", "x"]);
  },
  "FormData: a body that is no form is a TypeError": async () => {
    const headers = { "content-type": "multipart/form-data; boundary=b" };
    for (const body of ["", "--other--\r\n"]) {
      await assert.rejects(new Response(body, { headers }).formData(), TypeError, JSON.stringify(body));
    }
  },
  "multipart: a form that breaks off is a TypeError": async () => {
    const headers = { "content-type": "multipart/form-data; boundary=b" };
    const part = '--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n1';
    for (const body of ["--b\r\n", part, `${part}\r\n`, `${part}\r\n--b\r\n`]) {
      await assert.rejects(new Response(body, { headers }).formData(), TypeError, JSON.stringify(body));
    }
    assert.equal((await new Response(`${part}\r\n--b--`, { headers }).formData()).get("a"), "1");
  },
};
