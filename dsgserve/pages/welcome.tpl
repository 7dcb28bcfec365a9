% # The landing page of a person who is not signed in.
% rebase("base.tpl")
% if ended:
<p>{{ended}}</p>
% else:
<p>You are not signed in.</p>
% end
% if disabled:
<p>If you think that this is a mistake, ask {{site.contact_name}}.</p>
<p><a class="button" href="/auth/login?again=1&amp;next=/">Sign in with another account</a></p>
% else:
<p>Sign in to see your datasets and where their data is.</p>
<p><a class="button" href="/auth/login?next=/">Sign in</a></p>
% end
