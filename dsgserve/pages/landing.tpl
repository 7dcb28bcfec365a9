% # The landing page of somebody who is signed in.
% rebase("base.tpl", sign_out=True)
<p>Hello <bdi dir="auto"><strong>{{who}}</strong></bdi>.
% if admin:
You are an administrator of this site.
% end
% if read_only:
Your account is read-only: you may look at data, and change none.
% end
</p>
% if pending:
<section class="panel" aria-labelledby="pending">
<h2 id="pending">Terms to accept</h2>
<p>These hold back datasets that you have access to.</p>
<ul>
% for one in pending:
<li><a href="{{one["path"]}}"><bdi dir="auto">{{one["name"]}}</bdi></a>
<span class="soft">for <bdi dir="auto">{{one["dataset"]}}{{", version " + one["version"] if one["version"] else ""}}</bdi></span></li>
% end
</ul>
% if more_pending:
<p>And {{more_pending}} more.</p>
% end
<p><a href="/activate?next=/">Read and accept them together</a></p>
</section>
% end
% if filtered:
<form method="get" action="/" role="search" class="row">
<label for="q">Show datasets with</label>
<input id="q" type="search" name="q" value="{{words}}" maxlength="100">
<button>Filter</button>
% if words:
<a href="/">Show all</a>
% end
</form>
% end
% if words or newer or older:
<p role="status">\\
% if not part.matching:
No dataset has “{{words}}” in its name or description.
% elif part.entries:
{{start + 1}} to {{start + len(part.entries)}} of {{part.matching}} datasets{{" with “" + words + "”" if words else ""}}.
% else:
There are {{part.matching}} datasets; <a href="/">begin with the first</a>.
% end
</p>
% end
% if mine:
<ul class="list" aria-label="Datasets that you have access to">
% for one in mine:
% include("dataset.tpl", entry=one["entry"], accept=one["accept"], sources=one["sources"], level=2)
% end
</ul>
% elif not words and not start:
<p>You have access to no dataset yet. Ask {{site.helpers}} for access, and say that your account is
<bdi dir="auto"><strong>{{account}}</strong></bdi>.
% if open:
The datasets below need no grant: accept their terms to open them.
% end
</p>
% end
% if open:
<h2>Open to everybody who accepts the terms</h2>
<ul class="list">
% for one in open:
% include("dataset.tpl", entry=one["entry"], accept=one["accept"], sources=one["sources"], level=3)
% end
</ul>
% end
% if newer or older:
<nav aria-label="Pages of datasets" class="row">
% if newer:
<a href="{{newer}}" rel="prev">Previous page</a>
% end
% if older:
<a href="{{older}}" rel="next">Next page</a>
% end
</nav>
% end
% if groups:
<h2>Your groups</h2>
<ul>
% for group in groups:
<li><bdi dir="auto">{{group}}</bdi></li>
% end
</ul>
% end
% if accepted:
<h2>Terms that you have accepted</h2>
<details>
<summary>Read, print or save them ({{len(accepted)}})</summary>
<ul>
% for one in accepted:
<li><a href="{{one["path"]}}"><bdi dir="auto">{{one["name"]}}</bdi></a> <span class="soft">on {{one["when"]}}</span></li>
% end
</ul>
</details>
% end
