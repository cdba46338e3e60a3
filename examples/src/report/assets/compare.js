'use strict';
(() => {
  const heads = [...document.querySelectorAll('.matrix thead th')];
  const body = document.querySelector('.matrix tbody');
  const asked = [...body.rows];
  // Best first, then worst first; rows without a number stay at the end. The first column gives back the order asked for.
  const order = (column, sign) => (a, b) => {
    const [left, right] = [a, b].map((row) => Number(row.cells[column].dataset.value ?? NaN));
    return Number.isNaN(left) - Number.isNaN(right) || sign * (left - right) || asked.indexOf(a) - asked.indexOf(b);
  };
  const sort = (head, column) => {
    const first = head.dataset.better === 'higher' ? 'descending' : 'ascending';
    const other = first === 'descending' ? 'ascending' : 'descending';
    const now = head.getAttribute('aria-sort') === first ? other : first;
    heads.forEach((it) => it.removeAttribute('aria-sort'));
    if (column === 0) return body.append(...asked);
    head.setAttribute('aria-sort', now);
    body.append(...asked.toSorted(order(column, now === 'ascending' ? 1 : -1)));
  };
  // Headers are buttons only where a script can answer them.
  heads.forEach((head, column) => {
    const button = Object.assign(document.createElement('button'), { type: 'button', className: 'sort' });
    button.append(head.firstChild);
    button.addEventListener('click', () => sort(head, column));
    head.prepend(button);
  });
})();
