'use strict';
(() => {
  const get = (id) => document.getElementById(id);
  const models = JSON.parse(get('models').textContent);
  const [form, image, preview, problem] = ['form', 'image', 'preview', 'problem'].map(get);
  const GLANCE = 300;
  let job = null;

  const labels = () => {
    const { labels } = models.find((it) => it.name === get('model').value);
    get('labels').replaceChildren(...labels.map((label) => new Option(label, label)));
  };
  get('model').addEventListener('change', labels);
  labels();

  const show = () => {
    URL.revokeObjectURL(preview.src);
    preview.hidden = !image.files.length;
    if (image.files.length) preview.src = URL.createObjectURL(image.files[0]);
  };
  image.addEventListener('change', show);
  preview.addEventListener('error', () => { preview.hidden = true; });
  const drop = get('drop');
  drop.addEventListener('dragover', (event) => { event.preventDefault(); drop.classList.add('over'); });
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    image.files = event.dataTransfer.files;
    show();
  });

  const busy = (is) => {
    get('go').disabled = is;
    get('cancel').hidden = get('running').hidden = !is;
  };
  const complain = (message, hint) => {
    problem.textContent = hint ? `${message}: ${hint}` : message;
    busy(false);
  };
  const told = async (response) => {
    const said = await response.json().catch(() => ({}));
    complain(said.message ?? `the server answered ${response.status}`, said.hint);
  };

  const watch = async () => {
    const response = await fetch(`/jobs/${job}`);
    if (!response.ok) return told(response);
    const it = await response.json();
    if (it.state === 'done') return location.assign(`/jobs/${job}/report`);
    if (it.state === 'failed') return complain(it.message, it.hint);
    if (it.state === 'cancelled') return complain('cancelled');
    const running = it.state === 'running';
    get('doing').textContent = running ? `${it.method}, ${it.before + 1} of ${it.methods}` : 'waiting for its turn';
    get('progress').value = running ? (it.before + it.done / Math.max(it.of, 1)) / it.methods : 0;
    setTimeout(guarded(watch), GLANCE);
  };
  const guarded = (run) => () => run().catch(() => complain('the server does not answer'));

  const send = async () => {
    const data = new FormData(form);
    const methods = data.getAll('method').join(',');
    if (!methods) return complain('choose at least one method');
    const asked = new URLSearchParams({ method: methods, name: image.files[0].name });
    for (const field of ['model', 'target', 'contrast', 'seed']) {
      if (data.get(field)) asked.set(field, data.get(field));
    }
    problem.textContent = '';
    get('doing').textContent = 'sending the image';
    busy(true);
    const headers = { 'Content-Type': image.files[0].type || 'application/octet-stream' };
    const response = await fetch(`/explain?${asked}`, { method: 'POST', body: image.files[0], headers });
    if (!response.ok) return told(response);
    job = (await response.json()).id;
    return watch();
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    guarded(send)();
  });
  get('cancel').addEventListener('click', guarded(async () => {
    if (job) await fetch(`/jobs/${job}`, { method: 'DELETE' });
  }));
  addEventListener('pageshow', () => busy(false));
})();
