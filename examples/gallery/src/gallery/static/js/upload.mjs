// Sends the chosen pictures one by one, so that each has its own progress and its own answer.
// Without it the form sends them all at once.

const form = document.getElementById("upload");
const input = form.elements.pictures;
const submit = form.elements.submit;
const drop = document.getElementById("drop");
const queue = document.getElementById("queue");
const maxBytes = Number(form.dataset.maxBytes);

// Room for the other parts of the form in the same request.
const formBytes = 2048;

let entries = [];

function addEntry(file) {
  const row = document.createElement("li");
  const preview = document.createElement("img");
  preview.alt = "";
  preview.src = URL.createObjectURL(file);
  preview.addEventListener("load", () => URL.revokeObjectURL(preview.src));
  preview.addEventListener("error", () => {
    const blank = document.createElement("span");
    blank.className = "blank";
    preview.replaceWith(blank);
  });
  const name = document.createElement("span");
  name.className = "file";
  name.textContent = file.name;
  const state = document.createElement("span");
  state.className = "state";
  state.textContent = file.size < 1048576
    ? `${Math.ceil(file.size / 1024)} KiB`
    : `${(file.size / 1048576).toFixed(1)} MiB`;
  row.append(preview, name, state);
  queue.append(row);
  entries.push({ file, row, state });
}

function list() {
  queue.replaceChildren();
  entries = [];
  for (const file of input.files) addEntry(file);
  const count = entries.length;
  submit.value = count === 0 ? "Upload" : `Upload ${count} ${count === 1 ? "picture" : "pictures"}`;
}

function accept(entry) {
  entry.row.querySelector("progress").remove();
  entry.state.textContent = "Added ✓";
}

function refuse(entry, reason) {
  entry.row.querySelector("progress")?.remove();
  entry.row.classList.add("refused");
  entry.state.textContent = `Not taken: ${reason}`;
}

function reasonOf(request) {
  if (request.status === 413) return `it is larger than ${form.dataset.limit}.`;
  const answer = request.response;
  const refused = answer?.refused?.[0];
  if (refused) return `it ${refused.reason}`;
  return answer?.error ?? "the server did not answer. Try again.";
}

function send(entry) {
  if (entry.file.size + formBytes > maxBytes) {
    refuse(entry, `it is larger than ${form.dataset.limit}.`);
    return false;
  }
  const body = new FormData(form);
  body.delete("pictures");
  body.append("pictures", entry.file);
  const progress = document.createElement("progress");
  progress.max = 1;
  progress.value = 0;
  entry.row.append(progress);
  entry.state.textContent = "Sending";

  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      progress.value = event.loaded / event.total;
    });
    request.addEventListener("loadend", () => {
      const taken = request.status === 201;
      if (taken) accept(entry);
      else refuse(entry, reasonOf(request));
      resolve(taken);
    });
    request.send(body);
  });
}

input.addEventListener("change", list);

form.addEventListener("submit", async (event) => {
  if (entries.length === 0) return;
  event.preventDefault();
  submit.disabled = true;
  let taken = true;
  for (const entry of entries) taken = (await send(entry)) && taken;
  if (taken) {
    location.assign(form.dataset.done);
    return;
  }
  entries = [];
  form.reset();
  submit.disabled = false;
  submit.value = "Upload";
});

for (const type of ["dragenter", "dragover"]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}

drop.addEventListener("dragleave", (event) => {
  if (!drop.contains(event.relatedTarget)) drop.classList.remove("over");
});

drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (submit.disabled) return;
  input.files = event.dataTransfer.files;
  list();
});

// A browser may keep the choice over a reload.
list();
